"""A model repository: numbered versions in a folder. The one rule of what a version is.

The rule is TF Serving's: a version is a folder whose name is a decimal number and in which a
SavedModel is complete. What is still being copied is none yet; what was rolled back keeps its
number under a name that no server takes for one.
"""

import contextlib
import dataclasses
import os
import re
from pathlib import Path

from darkroom.artifacts.manifest import read_manifest
from darkroom.artifacts.model import KIND
from darkroom.errors import StepError

GRAPH_FILE = "saved_model.pb"
"""The file by which a server takes a folder for a SavedModel; written last but the manifest."""
_ROLLED_BACK = ".rolled-back-"
_NUMBER = re.compile(r"[0-9]{1,18}")  # of an int64, as TF Serving reads it


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a model that can be served.

    Attributes:
        number: Its number; the highest serves.
        folder: The SavedModel directory.
    """

    number: int
    folder: Path

    @property
    def digest(self) -> str | None:
        """The digest of a pushed model; None of one that someone else put there."""
        try:
            return str(read_manifest(self.folder, KIND)["digest"])
        except StepError:
            return None

    def stamp(self) -> frozenset[tuple[Path, int, int]]:
        """Path, size in bytes and time of change of each of its files: other files, other stamp."""
        files = []
        for path in self.folder.rglob("*"):
            # Somebody may be removing the version.
            with contextlib.suppress(OSError):
                stat = path.stat()
                files.append((path, stat.st_size, stat.st_mtime_ns))
        return frozenset(files)


def is_version_name(name: str) -> bool:
    """Whether a folder's name is a version's number, as TF Serving reads it."""
    return _NUMBER.fullmatch(name) is not None


def find_versions(repository: Path) -> list[Version]:
    """The complete versions in a repository, the highest first.

    Args:
        repository: The folder; one that does not exist has none.
    """
    return [version for version in _numbered(repository) if is_complete(version.folder)]


def find_incomplete(repository: Path) -> list[Version]:
    """The numbered folders that hold no complete model, the highest first."""
    return [version for version in _numbered(repository) if not is_complete(version.folder)]


def serving_version(repository: Path) -> Version | None:
    """The version that a server of the repository serves: the highest; None where there is none."""
    return next(iter(find_versions(repository)), None)


def next_number(repository: Path) -> int:
    """A number above every one that is or was in use: complete, half-copied or rolled back."""
    rolled_back = [
        int(path.name.removeprefix(_ROLLED_BACK))
        for path in _folders(repository)
        if path.name.startswith(_ROLLED_BACK)
    ]
    numbers = [version.number for version in _numbered(repository)]
    return max([0, *numbers, *rolled_back]) + 1


def roll_back(repository: Path) -> tuple[Version, Version]:
    """Takes the version that serves out of service, for good.

    Returns:
        The version rolled back, and the one that serves now.

    Raises:
        StepError: There is no version to go back to.
    """
    versions = find_versions(repository)
    if len(versions) < 2:
        complete = "no complete version" if not versions else "1 complete version"
        raise StepError(f"{repository} has {complete}: none to go back to")
    newest, before = versions[:2]
    newest.folder.rename(repository / f"{_ROLLED_BACK}{newest.number}")
    return newest, before


def is_complete(folder: Path) -> bool:
    """Whether a SavedModel in a folder is complete, by the file that is written last."""
    return (folder / GRAPH_FILE).is_file()


def _numbered(repository: Path) -> list[Version]:
    """All folders whose names are numbers; of names of one number, `7` and `07`, the shortest."""
    found: dict[int, Version] = {}
    for folder in sorted(_folders(repository), key=lambda path: len(path.name), reverse=True):
        if is_version_name(folder.name):
            found[int(folder.name)] = Version(int(folder.name), folder)
    return sorted(found.values(), key=lambda version: version.number, reverse=True)


def _folders(repository: Path) -> list[Path]:
    try:
        with os.scandir(repository) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []
