"""Rows from a folder of label folders, here or in a bucket."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.ingest.sources.rows import Row, Table
from components.ingest.sources.storage import matching_files
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import SettingsError

_IMAGE_NAME = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?)$", re.IGNORECASE)
_LEFT_BY_SYSTEMS = frozenset({"Thumbs.db", "desktop.ini"})


def read_folder(folder: Path) -> Table:
    """Lists the files below a local folder; the first folder on a file's way is its label.

    Raises:
        SettingsError: A folder may not be read.
    """
    return folder_table((name, f"{folder}/{name}") for name in _names(folder, "", ()))


def read_remote_folder(uri: str) -> Table:
    """Lists the files below a URI such as `gs://bucket/flowers`, as `read_folder` does.

    Raises:
        SettingsError: Nothing is there, or it may not be read.
    """
    root = uri.rstrip("/") + "/"
    files = matching_files(f"{root}**")
    if not files:
        raise SettingsError(f"data path {uri} does not exist, or is empty")
    named = ((file.removeprefix(root), file) for file in files)
    return folder_table((name, file) for name, file in named if not is_left_by_systems(name))


def is_left_by_systems(name: str) -> bool:
    """Whether an object of a bucket is no file of the user's, by its name within the folder."""
    # Some clients store a folder as an empty object with a slash at its end.
    return name.endswith("/") or any(map(_is_hidden, name.split("/")))


def _names(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Paths of the files below a folder, sorted folder by folder."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        status = folder.stat()
    except OSError as error:
        raise SettingsError(f"cannot read {folder}: {error.strerror}") from None
    identity = (status.st_dev, status.st_ino)
    # A link that leads back to a folder above would never end.
    if identity in above:
        return
    for entry in entries:
        if _is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _names(Path(entry.path), f"{prefix}{entry.name}/", (*above, identity))
        else:
            yield prefix + entry.name


def _is_hidden(name: str) -> bool:
    """Whether a system left a file behind, which makes it no row of the user's."""
    return name.startswith(".") or name in _LEFT_BY_SYSTEMS


def folder_table(files: Iterable[tuple[str, str]]) -> Table:
    """The rows of files, given by name within the folder and by location."""
    rows: list[Row] = []
    rejections: list[Rejection] = []
    for name, location in files:
        label, slash, _ = name.partition("/")
        if not _is_text(name):
            shown = os.fsencode(name).decode("utf-8", errors="backslashreplace")
            detail = "the file's name is not UTF-8 text; rename it"
            rejections.append(Rejection({"image": shown}, Reason.UNREADABLE_FILE, detail))
        elif slash:
            rows.append(Row(name, location, label))
        elif _IMAGE_NAME.search(name):
            detail = "stands beside the label folders, not in one"
            rejections.append(Rejection({"image": name}, Reason.NO_LABEL, detail))
    return Table(rows, rejections, {})


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
