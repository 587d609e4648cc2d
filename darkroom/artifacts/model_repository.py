"""A model repository: numbered versions in a folder. The one rule of what a version is.

The rule is TF Serving's: a version is a folder whose name is a decimal number and which holds a
complete SavedModel. A folder that is still being copied is not a version yet. A version that was
rolled back keeps its number under a name that servers ignore.
"""

import contextlib
import dataclasses
import re
from pathlib import Path

from darkroom.errors import StepError

GRAPH_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel; only the manifest is written after it."""
_ROLLED_BACK = ".rolled-back-"
_OUT_OF_SERVICE = re.compile(r"\.(?:rolled-back|withdrawn)-([0-9]{1,18})")
"""Names of versions that were rolled back, by this release or an earlier one."""
_NUMBER = re.compile(r"[0-9]{1,18}")  # of an int64, as TF Serving reads it
_HIGHEST = 10**18 - 1


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a model that can be served.

    Attributes:
        number: Its number; the highest serves.
        folder: The SavedModel directory.
    """

    number: int
    folder: Path

    def stamp(self) -> frozenset[tuple[Path, int, int]]:
        """Path, size in bytes and time of change of each of its files."""
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
    """The version that servers serve, which is the highest; None if there is none."""
    return next(iter(find_versions(repository)), None)


def next_number(repository: Path) -> int:
    """A number above every one that is or was in use: complete, half-copied or rolled back.

    Raises:
        StepError: There is no higher number.
    """
    matches = [
        _NUMBER.fullmatch(path.name) or _OUT_OF_SERVICE.fullmatch(path.name)
        for path in _entries(repository)
    ]
    highest = max((int(match[match.lastindex or 0]) for match in matches if match), default=0)
    if highest >= _HIGHEST:
        raise StepError(f"{repository} uses {highest}, the highest number that a version can have")
    return highest + 1


def roll_back(repository: Path) -> tuple[Version, Version]:
    """Takes the version that serves out of service, for good.

    Returns:
        The version that was rolled back, in its renamed folder, and the one that serves now.

    Raises:
        StepError: There is no version to go back to, or the folder cannot be renamed.
    """
    versions = find_versions(repository)
    if len(versions) < 2:
        complete = "no complete version" if not versions else "1 complete version"
        raise StepError(f"{repository} has {complete}: none to go back to")
    newest, before = versions[:2]
    # `07` beside `7` would serve once `7` is renamed.
    names = [path.name for path in _folders(repository) if is_version_name(path.name)]
    spellings = [name for name in names if int(name) == newest.number]
    try:
        for name in sorted(spellings, key=len, reverse=True):
            (repository / name).rename(repository / f"{_ROLLED_BACK}{name}")
    except OSError as error:
        raise StepError(f"cannot rename {newest.folder}: {error.strerror or error}") from None
    folder = repository / f"{_ROLLED_BACK}{newest.folder.name}"
    return Version(newest.number, folder), before


def is_complete(folder: Path) -> bool:
    """Whether a SavedModel in a folder is complete, by the file that is written last."""
    return (folder / GRAPH_FILE).is_file()


def _numbered(repository: Path) -> list[Version]:
    """All folders whose names are numbers, the highest first.

    Of folders of one number, `7` and `07`, a complete one counts, of those the shortest name.
    """
    found: dict[int, Version] = {}
    named = [path for path in _folders(repository) if is_version_name(path.name)]
    for folder in sorted(named, key=lambda path: (is_complete(path), -len(path.name))):
        found[int(folder.name)] = Version(int(folder.name), folder)
    return sorted(found.values(), key=lambda version: version.number, reverse=True)


def _folders(repository: Path) -> list[Path]:
    return [path for path in _entries(repository) if path.is_dir()]


def _entries(repository: Path) -> list[Path]:
    try:
        return list(repository.iterdir())
    except OSError:
        return []
