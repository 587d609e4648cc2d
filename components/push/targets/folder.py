"""A folder of numbered versions, which TF Serving, KServe and `darkroom serve` watch."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.push.targets.target import PUSHED, PushedVersion, Target
from darkroom.artifacts import model_repository
from darkroom.artifacts.manifest import MANIFEST, atomic_artifact, folder_digest, read_manifest
from darkroom.artifacts.model import KIND, Model
from darkroom.artifacts.model_repository import Version
from darkroom.errors import StepError
from darkroom.storage.atomic import write_json
from darkroom.storage.paths import is_uri

_log = logging.getLogger("darkroom.push")


class FolderTarget:
    """A model repository on a disk, or in a bucket that is mounted as a folder.

    Args:
        destination: The folder; it is made by the first push.
    """

    form: ClassVar[str] = "/path/of/a/folder"

    def __init__(self, destination: str) -> None:
        self._folder = Path(destination)

    @classmethod
    def takes(cls, destination: str) -> bool:
        """Any path; a bucket's URI is none, but the folder is that it is mounted at."""
        return not is_uri(destination)

    def publish(self, model: Model, record: Mapping[str, Any]) -> PushedVersion:
        """Copies the model to a new version's folder, if it is not the one that serves.

        Raises:
            StepError: The folder cannot be written, or the copy is not the original.
        """
        self._warn_of_incomplete()
        digest = model.manifest["digest"]
        current = self.current()
        if current is not None and current.digest == digest:
            return current
        number = model_repository.next_number(self._folder)
        folder = self._folder / str(number)
        # Another push may have taken the number meanwhile: its version is never replaced.
        with atomic_artifact(folder, replace=False, durable=True) as temporary:
            shutil.copytree(model.folder, temporary, dirs_exist_ok=True)
            if folder_digest(temporary) != digest:
                raise StepError(
                    f"the copy of {model.folder} in {self._folder} is damaged; push again"
                )
            write_json(temporary / MANIFEST, {**model.manifest, PUSHED: record})
        return _pushed_version(Version(number, folder))

    def current(self) -> PushedVersion | None:
        """The highest complete version."""
        version = model_repository.serving_version(self._folder)
        return None if version is None else _pushed_version(version)

    def versions(self) -> list[PushedVersion]:
        """The complete versions, oldest first."""
        return [_pushed_version(found) for found in model_repository.list_versions(self._folder)]

    def traffic(self) -> dict[int, int]:
        """All requests go to the highest version."""
        version = model_repository.serving_version(self._folder)
        return {} if version is None else {version.number: 100}

    def rollback(self) -> tuple[PushedVersion, PushedVersion]:
        """Renames the folder of the version that serves, as `model_repository.roll_back` does."""
        self._warn_of_incomplete()
        rolled_back, serving = model_repository.roll_back(self._folder)
        return _pushed_version(rolled_back), _pushed_version(serving)

    def _warn_of_incomplete(self) -> None:
        for folder in model_repository.incomplete_versions(self._folder):
            _log.warning("%s holds no complete model and is ignored", folder)


def _pushed_version(version: Version) -> PushedVersion:
    try:
        manifest = read_manifest(version.folder, KIND)
    except StepError:  # another program put it there
        manifest = {}
    return PushedVersion(version.number, str(version.folder), manifest)


TARGET: type[Target] = FolderTarget
