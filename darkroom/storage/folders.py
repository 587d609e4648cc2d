"""Whole folders anywhere, by path or URI: uploaded, read, renamed, removed."""

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.errors import StepError
from darkroom.storage import atomic
from darkroom.storage.files import (
    StoredFile,
    clear_errors,
    copy,
    delete,
    download,
    exists,
    file_system,
    list_files,
    literal,
    put,
    upload,
)
from darkroom.storage.paths import is_uri


def upload_folder(source: Path, folder: str, last: Sequence[str] = ()) -> None:
    """Copies all files of a folder here, and of those in it, into one anywhere.

    Args:
        source: The folder here.
        folder: Path or URI of the other.
        last: Names of files directly in it that come after all others, in order.
    """
    for place, _, names in os.walk(source):
        below = Path(place).relative_to(source).as_posix()
        target = folder if below == "." else f"{folder}/{below}"
        early = [name for name in sorted(names) if below != "." or name not in last]
        upload([Path(place) / name for name in early], target)
    for name in last:
        if (source / name).is_file():
            put(source / name, f"{folder}/{name}")


@contextlib.contextmanager
def read_folder(folder: str) -> Iterator[Path]:
    """Gives a folder's path here: its own, or that of a copy of it and of those in it.

    Raises:
        StepError: It cannot be read.
    """
    if not is_uri(folder):
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        download_folder(folder, Path(temporary))
        yield Path(temporary)


@contextlib.contextmanager
def read_folders(folders: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Gives folders' paths here: their own, or those of copies while they are used.

    Raises:
        StepError: One of them cannot be read.
    """
    with contextlib.ExitStack() as copies:
        yield tuple(str(copies.enter_context(read_folder(folder))) for folder in folders)


def download_folder(folder: str, target: Path) -> None:
    """Copies a folder from anywhere into one here.

    Raises:
        StepError: It cannot be read.
    """
    with clear_errors(f"cannot read {folder}", StepError):
        if not is_uri(folder):
            shutil.copytree(folder, target, dirs_exist_ok=True)
            return
        for location in (file.location for file in files_below(folder)):
            path = target / location.removeprefix(f"{folder}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            download([location], path.parent)


def move_folder(source: str, target: str, last: Sequence[str] = ()) -> None:
    """Gives a folder another name; file by file where the store has no folders.

    Begun again after it was cut off, it is completed.

    Args:
        source: Path or URI of the folder.
        target: Its new name.
        last: Names of files that readers take for the sign that a folder is complete, in order:
            they are the last to come and the first to go.

    Raises:
        OSError: It cannot be renamed; each client of a store has further errors of its own.
    """
    if not is_uri(source):
        atomic.move_folder(Path(source), Path(target), last)
        return
    order = {f"{source}/{name}": number for number, name in enumerate(last, 1)}
    found = [file.location for file in files_below(source)]
    locations = sorted(found, key=lambda location: order.get(location, 0))
    for location in locations:
        moved = target + location.removeprefix(source)
        try:
            copy(location, moved)
        except FileNotFoundError:
            # Somebody else completes the same move, and has come to deleting.
            if not exists(moved):
                raise
    for location in reversed(locations):
        with contextlib.suppress(FileNotFoundError):
            delete([location])


def delete_folder(location: str) -> None:
    """Removes a folder, and all that is in it."""
    system, path = file_system(location)
    system.rm(literal(system, path), recursive=True)


def files_below(folder: str) -> list[StoredFile]:
    """All files of a folder, and of those in it, sorted by location.

    An object that some tools leave in a bucket to stand for a folder is none.
    """
    found = list_files(f"{glob.escape(folder)}/**")
    return [file for file in found if file.location != folder and not file.location.endswith("/")]
