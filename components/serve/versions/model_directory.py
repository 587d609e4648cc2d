"""What a server serves from: a SavedModel, or numbered versions, on this machine or in a bucket."""

import contextlib
import os
import tempfile
from pathlib import Path

from darkroom.artifacts import model_repository
from darkroom.artifacts.model_repository import GRAPH_FILE, Version
from darkroom.artifacts.proof import changed_files, has_digests
from darkroom.artifacts.signature import check_signature
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.storage.folders import download_folder, files_below
from darkroom.storage.paths import is_uri


def find_versions(model_dir: str | Path) -> list[Version]:
    """The versions in a model directory, the highest first.

    Args:
        model_dir: A SavedModel directory (version 1, or its own number where it is named by one),
            or a model repository, as `darkroom.artifacts.model_repository` describes it.
    """
    itself = model_repository.own_version(model_dir)
    return [itself] if itself is not None else model_repository.find_versions(model_dir)


def check_model_directory(model_dir: str | Path) -> None:
    """Checks, before the slow imports, that a directory has something to serve.

    Raises:
        SettingsError: There is no such directory, or no model in it.
        StepError: A bucket cannot be read.
    """
    if not is_uri(str(model_dir)) and not Path(model_dir).is_dir():
        raise SettingsError(f"the model directory {model_dir} does not exist")
    with files.clear_errors(f"cannot read {model_dir}", StepError):
        found = find_versions(model_dir)
    if not found:
        raise SettingsError(
            f"{model_dir} holds no model: {GRAPH_FILE} must be in it, "
            "or in a folder in it that is named by a version's number, such as 1"
        )


def model_name(model_dir: str | Path) -> str:
    """The name of a directory's model: the folder's, or its parent's where that is a version.

    >>> model_name("/models/flowers")
    'flowers'
    >>> model_name("gs://bucket/models/flowers/3")
    'flowers'
    """
    # A link keeps its own name, which Path.resolve would lose.
    folder = Path(str(model_dir) if is_uri(str(model_dir)) else os.path.abspath(model_dir))  # noqa: PTH100
    if model_repository.parsed_name(folder.name):
        folder = folder.parent
    return folder.name or "model"


class LocalFiles:
    """A version's files on this machine: its own, or a copy of them as long as this lives.

    Args:
        version: The version.

    Attributes:
        folder: Where they are.

    Raises:
        StepError: They cannot be read.
    """

    def __init__(self, version: Version) -> None:
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        if not is_uri(version.location):
            self.folder = version.folder
            return
        # TensorFlow may read files of a model long after it was loaded.
        self._copy = tempfile.TemporaryDirectory(prefix="darkroom-serve-")
        self.folder = Path(self._copy.name)
        download_folder(version.location, self.folder)

    def check(self, public_key: str | None) -> None:
        """Checks that the files are those that were pushed.

        Args:
            public_key: File of the key that must have signed them, if any must.

        Raises:
            StepError: They have changed, or are not signed by the key.
        """
        if public_key is not None:
            check_signature(self.folder, Path(public_key))
        if has_digests(self.folder) and (changed := changed_files(self.folder)):
            raise StepError(f"{changed[0]} has changed since the version was pushed")


def stamp_of(version: Version) -> frozenset[tuple[str, int, float]]:
    """Path, size in bytes and time of change of each of a version's files."""
    if is_uri(version.location):
        found = files_below(version.location)
        return frozenset((file.location, file.size, file.modified) for file in found)
    states = []
    # Somebody may be removing the version, at which Path.rglob fails.
    for parent, folders, names in os.walk(version.folder):
        for path in (Path(parent, name) for name in (*folders, *names)):
            with contextlib.suppress(OSError):
                stat = path.stat()
                states.append((str(path), stat.st_size, float(stat.st_mtime_ns)))
    return frozenset(states)
