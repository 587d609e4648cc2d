"""A model repository: numbered versions in a folder. The one rule of what a version is.

The rule is TF Serving's: a version is a folder whose name is a decimal number and which holds a
complete SavedModel. A folder that is still being copied is not a version yet. A version that was
rolled back keeps its number under a name that servers ignore, and so does a number that a push has
claimed.
"""

import contextlib
import dataclasses
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from darkroom.artifacts.manifest import MANIFEST, artifact_digest, folder_digest
from darkroom.errors import StepError
from darkroom.storage.atomic import atomic_folder, move_folder, os_reason

GRAPH_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel; only the manifest is written after it."""
_ROLLED_BACK = ".rolled-back-"
_CLAIMED = ".claimed-"
_LAST = (MANIFEST, GRAPH_FILE)
"""With the graph a folder is a version, so that it comes last of all."""
_OUT_OF_SERVICE = re.compile(r"\.(?:rolled-back|withdrawn|claimed)-([0-9]{1,18})")
"""Names of versions that were rolled back, by this release or an earlier one, and of claims."""
_NUMBER = re.compile(r"[0-9]{1,18}")  # of an int64, as TF Serving reads it
_HIGHEST = 10**18 - 1
_log = logging.getLogger("darkroom.push")


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
        states = []
        # Somebody may be removing the version, at which Path.rglob fails.
        for parent, folders, files in os.walk(self.folder):
            for path in (Path(parent, name) for name in (*folders, *files)):
                with contextlib.suppress(OSError):
                    stat = path.stat()
                    states.append((path, stat.st_size, stat.st_mtime_ns))
        return frozenset(states)


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
    """A number above every one that is or was in use: complete, half, claimed or rolled back.

    Raises:
        StepError: There is no higher number.
    """
    highest = _highest_number(_entries(repository))
    if highest >= _HIGHEST:
        raise StepError(f"{repository} uses {highest}, the highest number that a version can have")
    return highest + 1


@contextlib.contextmanager
def claimed_number(repository: Path) -> Iterator[int]:
    """Gives a number for a version that no other push has or gets, on this machine or another.

    To make a folder is the one thing that every file system, a mounted bucket too, lets only one
    of several do. What a killed push claimed is never used again.

    Raises:
        StepError: There is no higher number, or the folder cannot be written.
    """
    claim: Path | None = None
    try:
        repository.mkdir(parents=True, exist_ok=True)
        while claim is None:
            number = next_number(repository)
            claim = _claim(repository, number)
        yield number
    except OSError as error:
        raise StepError(f"cannot write {repository}: {os_reason(error)}") from error
    finally:
        if claim is not None:
            with contextlib.suppress(OSError):
                claim.rmdir()


def _claim(repository: Path, number: int) -> Path | None:
    """The claim on a number; None where another push has it."""
    claim = repository / f"{_CLAIMED}{number}"
    try:
        claim.mkdir()
    except FileExistsError:
        return None
    # The number may have been claimed, published and unclaimed since it was found to be free.
    others = [path for path in _entries(repository) if path != claim]
    if _highest_number(others) >= number:
        claim.rmdir()
        return None
    return claim


def _highest_number(paths: Iterable[Path]) -> int:
    matches = [
        _NUMBER.fullmatch(path.name) or _OUT_OF_SERVICE.fullmatch(path.name) for path in paths
    ]
    return max((int(match[match.lastindex or 0]) for match in matches if match), default=0)


def new_version(folder: Path) -> contextlib.AbstractContextManager[Path]:
    """Gives a folder to write a version in, which becomes one all at once, as `atomic_folder`."""
    return atomic_folder(folder, replace=False, durable=True, last=_LAST)


def find_rolled_back(repository: Path) -> list[Version]:
    """The versions that were rolled back, the highest first."""
    found = [
        Version(int(match[1]), path)
        for path in _folders(repository)
        if (match := _OUT_OF_SERVICE.fullmatch(path.name)) and is_complete(path)
    ]
    return sorted(found, key=lambda version: version.number, reverse=True)


def is_whole(version: Version) -> bool:
    """Whether a version's files are those that its manifest was written of.

    Of a version without one, which another program put there, whether TensorFlow would find its
    variables.
    """
    digest = artifact_digest(version.folder)
    if digest is not None:
        return folder_digest(version.folder) == digest
    variables = version.folder / "variables"
    return not variables.is_dir() or (variables / "variables.index").is_file()


def roll_back(repository: Path, to: int | None = None) -> tuple[list[Version], Version]:
    """Goes back to an earlier version: takes all above it out of service, for good.

    Args:
        repository: The folder.
        to: The version's number, which may have been rolled back itself and then serves again;
            by default the next whole one below the version that serves.

    Returns:
        The versions that were rolled back, in their renamed folders, and the one that serves now.

    Raises:
        StepError: There is no version to go back to, or a folder cannot be renamed.
    """
    target = _whole_before(repository) if to is None else _wanted(repository, to)
    try:
        if not is_version_name(target.folder.name):
            folder = repository / str(target.number)
            move_folder(target.folder, folder, _LAST)
            target = Version(target.number, folder)
        above = [each for each in find_versions(repository) if each.number > target.number]
        gone = [_out_of_service(repository, version) for version in above]
    except OSError as error:
        raise StepError(f"cannot rename in {repository}: {os_reason(error)}") from None
    return gone, target


def _whole_before(repository: Path) -> Version:
    versions = find_versions(repository)
    for version in versions[1:]:
        if is_whole(version):
            return version
        _log.warning("%s is damaged, and is rolled back too", version.folder)
    count = {0: "no complete version", 1: "1 complete version"}.get(len(versions))
    raise StepError(f"{repository} has {count or 'no other whole version'}: none to go back to")


def _wanted(repository: Path, number: int) -> Version:
    known = [*find_versions(repository), *find_rolled_back(repository)]
    for version in known:
        if version.number == number:
            if not is_whole(version):
                raise StepError(f"{version.folder} is damaged: it cannot serve")
            return version
    numbers = ", ".join(str(version.number) for version in known) or "none"
    raise StepError(f"{repository} has no version {number}; it has {numbers}")


def _out_of_service(repository: Path, version: Version) -> Version:
    # `07` beside `7` would serve once `7` is renamed.
    names = [path.name for path in _folders(repository) if is_version_name(path.name)]
    spellings = [name for name in names if int(name) == version.number]
    for name in sorted(spellings, key=len, reverse=True):
        move_folder(repository / name, repository / f"{_ROLLED_BACK}{name}", _LAST)
    return Version(version.number, repository / f"{_ROLLED_BACK}{version.folder.name}")


def is_complete(folder: Path) -> bool:
    """Whether a SavedModel in a folder is complete, by the file that is written last."""
    try:
        return (folder / GRAPH_FILE).stat().st_size > 0
    except OSError:
        return False


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
