"""Rows from a folder of label folders, here or in a bucket."""

import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from components.ingest.sources.rows import Row, Table, checked_label
from components.ingest.sources.storage import matching_files
from components.ingest.splits.split import named_split
from darkroom.artifacts.examples import normalized
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.errors import SettingsError

_log = logging.getLogger("darkroom.ingest")

_IMAGE_NAME = re.compile(
    r"\.(jpe?g?|jfif|png|apng|gif|bmp|dib|webp|tiff?|avif|hei[cf]|jp2|j2k|jpx|ico|tga|dds|p[bgpn]m)$",
    re.IGNORECASE,
)
_SIDE_NAME = re.compile(
    r"\.(txt|jsonl?|xml|csv|tsv|ya?ml|md|html?|pdf|log|ini|db|xmp|aae|npy|npz|parquet|tfrecord"
    r"|zip|tar|t?gz|mov|mp4|m4v|avi|mkv|3gp|wav|mp3|py|ipynb)$",
    re.IGNORECASE,
)
"""What other tools put beside photographs: captions, sidecars, films, indexes."""
_LEFT_BY_SYSTEMS = frozenset(
    {
        "Thumbs.db",
        "desktop.ini",
        "@eaDir",
        "#recycle",
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    }
)


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
        if _is_folder(entry):
            yield from _names(Path(entry.path), f"{prefix}{entry.name}/", (*above, identity))
        else:
            yield prefix + entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_hidden(name: str) -> bool:
    """Whether a system left a file behind, which makes it no row of the user's."""
    return name.startswith(".") or name in _LEFT_BY_SYSTEMS


def folder_table(files: Iterable[tuple[str, str]]) -> Table:
    """The rows of files, given by name within the folder and by location.

    Raises:
        SettingsError: Its folders are splits with no label folders in them.
    """
    files = list(files)
    splits = _split_folders(name for name, _ in files)
    rows: list[Row] = []
    rejections: list[Rejection] = []
    side_files: list[str] = []
    for name, location in files:
        top, _, below = name.partition("/")
        label, slash, _ = (below if splits else name).partition("/")
        if not _is_text(name):
            shown = os.fsencode(name).decode("utf-8", errors="backslashreplace")
            detail = "the file's name is not UTF-8 text; rename it"
            rejections.append(Rejection({"image": shown}, Reason.UNREADABLE_FILE, detail))
        elif _SIDE_NAME.search(name):
            side_files.append(name)
        elif slash:
            try:
                given = checked_label(normalized(label))
            except RejectedError as error:
                rejections.append(Rejection({"image": name}, error.reason, error.detail))
                continue
            rows.append(Row(name, location, given, split=splits.get(top)))
        elif _IMAGE_NAME.search(name):
            detail = "stands beside the label folders, not in one"
            rejections.append(Rejection({"image": name}, Reason.NO_LABEL, detail))
    return Table(rows, rejections, {}, side_files)


def _split_folders(names: Iterable[str]) -> dict[str, str]:
    """The split of each folder, where all folders are named as splits; else none."""
    depths: dict[str, int] = {}
    for name in names:
        if "/" in name and not _SIDE_NAME.search(name):
            top = name.partition("/")[0]
            depths[top] = max(depths.get(top, 0), name.count("/"))
    splits = {top: split for top in depths if (split := named_split(top)) is not None}
    if len(set(splits.values())) < 2:
        return {}
    shown = ", ".join(sorted(splits))
    if len(splits) < len(depths):
        others = sorted(depths.keys() - splits.keys())
        if all(depths[top] > 1 for top in splits):
            raise SettingsError(
                f"the folders {shown} are splits, and {others[0]} beside them is none: "
                "move it, or name it train, valid or test"
            )
        return {}
    if not all(depth > 1 for depth in depths.values()):
        raise SettingsError(
            f"the folders {shown} are splits, and need label folders in them, such as train/roses"
        )
    _log.info("splits by folder: %s", ", ".join(f"{a} is {b}" for a, b in sorted(splits.items())))
    return splits


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
