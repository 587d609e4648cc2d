"""Folders of this machine: what is in them, and their files at any depth."""

import os
from collections.abc import Iterator
from pathlib import Path

from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import SettingsError
from darkroom.sources.file_names import is_hidden

Identity = tuple[int, int]
"""Device and inode of a folder."""


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What is directly in a folder, sorted by name.

    Raises:
        SettingsError: It may not be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise SettingsError(f"cannot read {folder}: {error.strerror}") from None


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def identity_of(folder: Path) -> Identity:
    """What tells a folder from all others, whatever way leads to it.

    Raises:
        SettingsError: It may not be read.
    """
    try:
        status = folder.stat()
    except OSError as error:
        raise SettingsError(f"cannot read {folder}: {error.strerror}") from None
    return status.st_dev, status.st_ino


def files_below(folder: Path, prefix: str = "", above: tuple[Identity, ...] = ()) -> Iterator[str]:
    """Paths of the files at any depth below a folder, sorted folder by folder.

    What systems leave behind is left out, and links that lead back to a folder above.

    Args:
        folder: The folder.
        prefix: What the paths begin with.
        above: The folders above it.

    Raises:
        SettingsError: A folder may not be read.
    """
    identity = identity_of(folder)
    # A link that leads back to a folder above would never end.
    if identity in above:
        return
    for entry in entries_of(folder):
        if is_hidden(entry.name):
            continue
        if is_folder(entry):
            yield from files_below(Path(entry.path), f"{prefix}{entry.name}/", (*above, identity))
        else:
            yield prefix + entry.name


def refused_name(path: str) -> Rejection | None:
    """The rejection of a photograph whose path no file of ours can hold; None of any other."""
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", errors="backslashreplace")
        detail = "the file's name is not UTF-8 text; rename it"
        return Rejection({"image": shown}, Reason.UNREADABLE_FILE, detail)
    return None
