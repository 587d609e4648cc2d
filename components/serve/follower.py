"""The version that serves: the highest one of a model directory that loads."""

import gc
import logging
from pathlib import Path

from components.serve.graph_error import reason
from components.serve.loaded_model import LoadedModel, load_model
from components.serve.versions import find_versions
from darkroom.artifacts.model_repository import Version

_LOG = logging.getLogger("darkroom.serve")


class VersionFollower:
    """Keeps the highest version that loads in memory, as versions are pushed and rolled back.

    One thread calls `refresh`, any may read the attributes: each is replaced whole, and a request
    that has taken `current` finishes on it.

    Args:
        model_dir: The model directory, as `find_versions` takes it.
        name: The model's name, for the log.

    Attributes:
        current: The version that serves, if any.
        loading: The number of the version that is being loaded, if any.
        errors: Why versions that stand in the directory cannot be loaded, by number.
    """

    def __init__(self, model_dir: Path, name: str) -> None:
        self.current: LoadedModel | None = None
        self.loading: int | None = None
        self.errors: dict[int, str] = {}
        self._failed_stamps: dict[int, object] = {}
        self._model_dir = model_dir
        self._name = name

    def refresh(self) -> None:
        """Takes the highest version that loads, if it is not the current one; blocks meanwhile.

        A version that fails to load is tried again once its files have changed, as they do while
        somebody copies it in. Where no version is left, the current one goes on serving.
        """
        versions = find_versions(self._model_dir)
        present = {version.number for version in versions}
        self.errors = {number: why for number, why in self.errors.items() if number in present}
        for version in versions:
            if self.current and self.current.version == version:
                return
            if self._has_changed(version) and self._load(version):
                return

    def _has_changed(self, version: Version) -> bool:
        """Whether a version is new, or has other files than when it failed to load."""
        stamp = version.stamp()
        if version.number in self.errors and self._failed_stamps[version.number] == stamp:
            return False
        self._failed_stamps[version.number] = stamp
        return True

    def _load(self, version: Version) -> bool:
        self.loading = version.number
        try:
            model = load_model(version)
        # A broken SavedModel raises any of a dozen types, and none may end the server.
        except Exception as error:
            self._keep_current(version.number, reason(error))
            return False
        finally:
            self.loading = None
        self._replace_current(model)
        return True

    def _keep_current(self, number: int, why: str) -> None:
        self.errors = {**self.errors, number: why}
        stays = f"; version {self.current.version.number} goes on serving" if self.current else ""
        _LOG.warning("%s version %d cannot be loaded: %s%s", self._name, number, why, stays)

    def _replace_current(self, model: LoadedModel) -> None:
        number = model.version.number
        self.errors = {other: why for other, why in self.errors.items() if other != number}
        previous, self.current = self.current, model
        if previous:
            old = previous.version.number
            _LOG.info("%s version %d replaces version %d", self._name, number, old)
            # A SavedModel holds itself in cycles, so its memory would stay for several pushes.
            del previous
            gc.collect()
