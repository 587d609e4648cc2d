"""A folder of versions that TF Serving, KServe and `darkroom serve` watch."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.push.targets.target import PUSHED, PushedVersion
from darkroom.artifacts import model_repository
from darkroom.artifacts.manifest import MANIFEST, folder_digest, read_manifest
from darkroom.artifacts.model import KIND, Model
from darkroom.artifacts.model_repository import Version
from darkroom.errors import SettingsError, StepError
from darkroom.storage.atomic import os_reason, remove_temporary, write_json
from darkroom.storage.paths import is_uri

_LONGEST_COPY = 24 * 3600.0
"""Seconds after which an unfinished copy is assumed to be of a push that was killed."""

_log = logging.getLogger("darkroom.push")


class FolderTarget:
    """A model repository in a folder, or in a bucket that is mounted as one.

    Args:
        destination: The folder; made where it is missing.
    """

    FORM = "a folder, such as served/flowers or /gcs/my-bucket/served/flowers"

    def __init__(self, destination: str) -> None:
        self._folder = Path(destination)

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """Whether a destination is a path."""
        return not is_uri(destination)

    def publish(self, model: Model, record: Mapping[str, Any]) -> PushedVersion:
        """Makes a model the highest version, all at once; see `PushTarget`."""
        self._warn_of_incomplete()
        digest = model.manifest["digest"]
        serving = model_repository.serving_version(self._folder)
        # If its files have changed since, the model is published again as a new version.
        if serving and _pushed(serving).digest == digest and model_repository.is_whole(serving):
            return _pushed(serving)
        remove_temporary(self._folder, older_than=_LONGEST_COPY)
        with model_repository.claimed_number(self._folder) as number:
            version = self._folder / str(number)
            with model_repository.new_version(version) as temporary:
                shutil.copytree(model.folder, temporary, dirs_exist_ok=True)
                if folder_digest(temporary) != digest:
                    raise StepError(
                        f"the copy of {model.folder} in {self._folder} is damaged; push again"
                    )
                write_json(temporary / MANIFEST, {**model.manifest, PUSHED: record})
        return _pushed(Version(number, version))

    def rolled_back(self) -> Sequence[PushedVersion]:
        """The versions out of service, the highest first."""
        return [_pushed(version) for version in model_repository.find_rolled_back(self._folder)]

    def current(self) -> PushedVersion | None:
        """The highest complete version."""
        version = model_repository.serving_version(self._folder)
        return None if version is None else _pushed(version)

    def fetch(self, version: PushedVersion, folder: Path) -> None:
        """Copies a version's model into a folder; see `PushTarget`."""
        try:
            shutil.copytree(version.location, folder)
        except OSError as error:
            raise StepError(f"{version.location} cannot be read: {os_reason(error)}") from error
        if version.digest is not None and folder_digest(folder) != version.digest:
            raise StepError(f"{version.location} is damaged: its files have changed")

    def versions(self) -> Sequence[PushedVersion]:
        """The complete versions, the highest first."""
        return [_pushed(version) for version in model_repository.find_versions(self._folder)]

    def traffic(self) -> Mapping[int, int]:
        """All requests go to the highest version, as in TF Serving by default."""
        current = self.current()
        return {} if current is None else {current.number: 100}

    def rollback(self, to: int | None = None) -> tuple[Sequence[PushedVersion], PushedVersion]:
        """Goes back to an earlier version; see `PushTarget`."""
        if not self._folder.is_dir():
            raise SettingsError(f"{self._folder} does not exist")
        self._warn_of_incomplete()
        gone, serving = model_repository.roll_back(self._folder, to)
        return [_pushed(version) for version in gone], _pushed(serving)

    def _warn_of_incomplete(self) -> None:
        for version in model_repository.find_incomplete(self._folder):
            _log.warning("%s holds no complete model and is ignored", version.folder)


def _pushed(version: Version) -> PushedVersion:
    try:
        manifest = read_manifest(version.folder, KIND)
    except StepError:  # another program put it there
        manifest = {}
    return PushedVersion(version.number, str(version.folder), manifest)


TARGET = FolderTarget
