"""The versions of a model directory, and the one that serves: the highest that loads."""

import dataclasses
import gc
import logging
from collections.abc import Sequence
from pathlib import Path

from components.serve.errors import reason
from components.serve.versions.loaded_model import LoadedModel, load_model
from components.serve.versions.model_directory import find_versions, stamp_of
from darkroom.artifacts.model_repository import Version
from darkroom.artifacts.push_log import last_entry
from darkroom.artifacts.traffic import canary_traffic, find_canary
from darkroom.errors import StepError

_LOG = logging.getLogger("darkroom.serve")


class VersionFollower:
    """Keeps the highest version that loads in memory, as versions are pushed and rolled back.

    One thread calls `refresh`; any thread may read the attributes, which are replaced, never
    changed. A request that has read `current` finishes on that version.

    Args:
        model_dir: The model directory, as `find_versions` takes it.
        name: The model's name, for the log.
        public_key: File of the key that must have signed each version, if any must.

    Attributes:
        current: The version that serves, if any.
        canary: The version that gets a share of its requests, if any.
        share: That share, in percent.
        loading: The number of the version that is being loaded, if any.
        errors: Why versions in the directory cannot be loaded, by number.
    """

    def __init__(self, model_dir: str | Path, name: str, public_key: str | None = None) -> None:
        self.current: LoadedModel | None = None
        self.canary: LoadedModel | None = None
        self.share = 0
        self.loading: int | None = None
        self.errors: dict[int, str] = {}
        self._failed_stamps: dict[int, object] = {}
        self._model_dir = model_dir
        self._name = name
        self._public_key = public_key

    def refresh(self) -> None:
        """Loads the highest version that loads, and the canary; blocks meanwhile.

        A version that fails to load is tried again once its files have changed, as they do while
        somebody copies it. Where no version is left, the current one keeps serving.
        """
        versions = find_versions(self._model_dir)
        canary = find_canary(self._model_dir)
        present = {version.number for version in (*versions, *([canary] if canary else []))}
        self.errors = {number: why for number, why in self.errors.items() if number in present}
        self._refresh_current(versions)
        self._refresh_canary(canary)

    def _refresh_current(self, versions: Sequence[Version]) -> None:
        for version in versions:
            if self.current and self.current.version == version:
                return
            if self.canary and self.canary.version.number == version.number:
                # It was promoted: its folder has another name, and what is loaded stays.
                self._replace_current(dataclasses.replace(self.canary, version=version))
                return
            if self._has_changed(version) and (model := self._load(version)):
                self._replace_current(model)
                return

    def _refresh_canary(self, version: Version | None) -> None:
        if version is None or (self.current and self.current.version.number == version.number):
            self._replace_canary(None, 0)
            return
        model = self.canary if self.canary and self.canary.version == version else None
        if model is None and self._has_changed(version):
            model = self._load(version)
        try:
            share = canary_traffic(version, last_entry(str(self._model_dir)))
        except StepError as error:
            _LOG.warning("the canary gets no requests: %s", error)
            share = 0
        self._replace_canary(model, share if model else 0)

    def _replace_canary(self, model: LoadedModel | None, share: int) -> None:
        if (model and model.version, share) != (self.canary and self.canary.version, self.share):
            number = model.version.number if model else 0
            text = f"version {number} gets {share} % of the requests" if model else "no canary"
            _LOG.info("%s: %s", self._name, text)
        previous = self.canary
        # In this order a request that reads both never gives a share to no model.
        if model is None:
            self.share, self.canary = 0, None
        else:
            self.canary, self.share = model, share
        kept = [each.saved_model for each in (self.current, self.canary) if each is not None]
        if previous is not None and all(previous.saved_model is not each for each in kept):
            del previous
            gc.collect()  # as for a version that is replaced

    def _has_changed(self, version: Version) -> bool:
        """Whether a version is new, or has other files than when it failed to load."""
        stamp = stamp_of(version)
        if version.number in self.errors and self._failed_stamps[version.number] == stamp:
            return False
        self._failed_stamps[version.number] = stamp
        return True

    def _load(self, version: Version) -> LoadedModel | None:
        self.loading = version.number
        try:
            model = load_model(version, self._public_key)
        # A broken SavedModel raises any of a dozen types, and none may end the server.
        except Exception as error:
            self._keep_current(version.number, reason(error))
            return None
        else:
            self.errors = {n: why for n, why in self.errors.items() if n != version.number}
            return model
        finally:
            self.loading = None

    def _keep_current(self, number: int, why: str) -> None:
        self.errors = {**self.errors, number: why}
        stays = f"; version {self.current.version.number} keeps serving" if self.current else ""
        _LOG.warning("%s version %d cannot be loaded: %s%s", self._name, number, why, stays)

    def _replace_current(self, model: LoadedModel) -> None:
        number = model.version.number
        previous, self.current = self.current, model
        if previous:
            old = previous.version.number
            _LOG.info("%s version %d replaces version %d", self._name, number, old)
            # A SavedModel has reference cycles: without this its memory would stay in use.
            del previous
            gc.collect()
