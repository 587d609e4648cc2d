"""A version on its way to a model repository: its number claimed, its files there, not yet served.

To make a folder is the one thing that every file system, a mounted bucket too, lets only one of
several do; of a bucket's objects one is made of a name. What a killed push claimed is never used
again.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from darkroom.artifacts.model_repository import (
    LAST_FILES,
    Role,
    Version,
    find_folders,
    folder_name,
    listed,
    parsed_name,
)
from darkroom.artifacts.push_log import PushLog
from darkroom.errors import StepError
from darkroom.storage import files, folders
from darkroom.storage.atomic import atomic_folder, remove_temporary
from darkroom.storage.paths import is_uri

_HIGHEST = 10**18 - 1
_LONGEST_COPY = 24 * 3600.0
"""Seconds after which an unfinished copy is assumed to be of a push that was killed."""


@contextlib.contextmanager
def staged(log: PushLog, source: Path) -> Iterator[Version]:
    """Brings a version's files to a repository, under a new number and a temporary name.

    Args:
        log: The log of the repository, which is made where it is missing.
        source: The folder with the files.

    Yields:
        The staged version; its folder is then renamed.

    Raises:
        StepError: The repository cannot be written.
    """
    repository = log.repository
    sweep(repository)
    with claimed_number(log) as number:
        location = f"{repository}/{folder_name(number, Role.STAGED)}"
        if is_uri(repository):
            with files.clear_errors(f"cannot write {repository}", StepError):
                folders.upload_folder(source, location, LAST_FILES)
        else:
            with atomic_folder(Path(location), replace=False, durable=True) as folder:
                shutil.copytree(source, folder, dirs_exist_ok=True)
        try:
            yield Version(number, location)
        except BaseException:
            _drop(log, location)
            raise


def _drop(log: PushLog, location: str) -> None:
    """Removes a staged version that no entry of the log names."""
    with contextlib.suppress(Exception):  # the first error is the one to tell
        name = location.rpartition("/")[2]
        log.refresh()
        moved = [move[0] for entry in log.entries for move in entry.moves]
        if name not in moved:
            folders.delete_folder(location)


def next_number(log: PushLog) -> int:
    """A number above every one that is or was in use, whatever for.

    Raises:
        StepError: There is no higher number, or the repository cannot be read.
    """
    highest = _highest(log)
    if highest >= _HIGHEST:
        raise StepError(
            f"{log.repository} uses {highest}, the highest number that a version can have"
        )
    return highest + 1


def _highest(log: PushLog, claimed: bool = True) -> int:
    """The highest number in use, those that are only claimed too unless told otherwise."""
    log.refresh()
    folders_, files_ = listed(log.repository)
    parsed = filter(None, map(parsed_name, (*folders_, *files_)))
    there = (number for number, role in parsed if claimed or role is not Role.CLAIMED)
    return max([*there, *(entry.version for entry in log.entries)], default=0)


@contextlib.contextmanager
def claimed_number(log: PushLog) -> Iterator[int]:
    """Gives a number for a version that no other push has or gets, on this machine or another."""
    repository = log.repository
    with files.clear_errors(f"cannot write {repository}", StepError):
        if not is_uri(repository):
            Path(repository).mkdir(parents=True, exist_ok=True)
        while True:
            number = next_number(log)
            claim = f"{repository}/{folder_name(number, Role.CLAIMED)}"
            if not _make(claim):
                continue
            # It may have been claimed, published and unclaimed since it was found to be free.
            if _highest(log, claimed=False) < number:
                break
            _remove(claim)
    try:
        yield number
    finally:
        _remove(claim)


def _make(claim: str) -> bool:
    if is_uri(claim):
        return files.create(claim, b"")
    try:
        Path(claim).mkdir()
    except FileExistsError:
        return False
    return True


def _remove(claim: str) -> None:
    with contextlib.suppress(Exception):  # no later push takes its number for free either way
        if is_uri(claim):
            files.delete([claim])
        else:
            Path(claim).rmdir()


def sweep(repository: str) -> None:
    """Removes what killed pushes have left."""
    if not is_uri(repository):
        remove_temporary(Path(repository), older_than=_LONGEST_COPY)
    before = time.time() - _LONGEST_COPY
    for version in find_folders(repository, Role.STAGED):
        with files.clear_errors(f"cannot write {repository}", StepError):
            found = folders.files_below(version.location)
            # None are left where its own push has just renamed it.
            if found and max(file.modified for file in found) < before:
                folders.delete_folder(version.location)
