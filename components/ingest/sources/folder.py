"""Rows from a folder of label folders, here or in a bucket."""

import dataclasses
import glob
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from components.ingest.sources.rows import Row, Table, checked_label
from components.ingest.sources.versions import version_of
from components.ingest.splits.split import named_split
from darkroom.artifacts.examples import normalized
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.errors import SettingsError
from darkroom.sources.file_names import (
    is_hidden,
    is_left_by_systems,
    is_photograph,
    is_side_file,
)
from darkroom.sources.folders import (
    Identity,
    entries_of,
    files_below,
    identity_of,
    is_folder,
    refused_name,
)
from darkroom.sources.storage import listed_files, listed_level
from darkroom.storage.files import StoredFile
from darkroom.storage.paths import is_uri

_log = logging.getLogger("darkroom.ingest")


@dataclasses.dataclass(frozen=True)
class ListedFolder:
    """A folder below a data folder.

    Attributes:
        prefix: Its path within the data folder, with a slash at its end; empty for that itself.
        is_deep: Whether the folders in it belong to it.
        split: The split that it is in, where the data folder's folders are splits.
    """

    prefix: str
    is_deep: bool
    split: str | None = None


def find_folders(root: str) -> list[ListedFolder]:
    """The folders that are listed one by one: label folders, and those around them.

    Args:
        root: Path or URI of the data folder, without a slash at its end.

    Raises:
        SettingsError: Nothing is there, it may not be read, or its folders are splits with no
            label folders in them.
    """
    names, files = _level(root, "")
    if not names and not files and is_uri(root):
        raise SettingsError(f"data path {root} does not exist, or is empty")
    splits = _split_folders(root, names)
    folders = [ListedFolder("", False)]
    for name in names:
        if name not in splits:
            folders.append(ListedFolder(f"{name}/", True))
            continue
        folders.append(ListedFolder(f"{name}/", False, splits[name]))
        inner, _ = _level(root, f"{name}/")
        folders += [ListedFolder(f"{name}/{each}/", True, splits[name]) for each in inner]
    return folders


def files_of(root: str, folder: ListedFolder) -> Iterator[tuple[str, StoredFile]]:
    """The files of a folder, sorted, each with its path within the data folder.

    Args:
        root: Path or URI of the data folder.
        folder: The folder.

    Raises:
        SettingsError: A folder may not be read.
    """
    top = f"{root}/{folder.prefix}"
    if not is_uri(root):
        names = files_below(Path(top), folder.prefix, _identities(root, folder.prefix))
        if not folder.is_deep:
            names = (folder.prefix + name for name in _level(root, folder.prefix)[1])
        # Their sizes and times are asked for when they are needed.
        yield from ((name, StoredFile(f"{root}/{name}", 0, 0.0)) for name in names)
        return
    for file in listed_files(f"{glob.escape(top)}{'**' if folder.is_deep else '*'}"):
        name = file.location.removeprefix(f"{root}/")
        if not is_left_by_systems(name):
            yield name, file


def _level(root: str, prefix: str) -> tuple[list[str], list[str]]:
    """Names of the folders, and of the files, that are directly in a folder, sorted."""
    if is_uri(root):
        folders, files = listed_level(f"{root}/{prefix}")
        kept = [name for name in folders if not is_left_by_systems(name)]
        return kept, [name for name in files if not is_left_by_systems(name)]
    entries = [entry for entry in entries_of(Path(root, prefix)) if not is_hidden(entry.name)]
    are_folders = [is_folder(entry) for entry in entries]
    names = [entry.name for entry in entries]
    inverse = [not each for each in are_folders]
    return list(itertools.compress(names, are_folders)), list(itertools.compress(names, inverse))


def _identities(root: str, prefix: str) -> tuple[Identity, ...]:
    """The folders above one, from the data folder on."""
    names = prefix.split("/")[:-1]
    return tuple(identity_of(Path(root, *names[:depth])) for depth in range(len(names)))


def folder_table(files: Iterable[tuple[str, StoredFile]], split: str | None = None) -> Table:
    """The rows of files; the first folder on a file's way is its label.

    Args:
        files: Each with its path within the data folder.
        split: The split that their first folder is, where it is one: the label is the second.
    """
    rows: list[Row] = []
    rejections: list[Rejection] = []
    side_files: list[str] = []
    for name, file in files:
        below = name if split is None else name.partition("/")[2]
        label, slash, _ = below.partition("/")
        if refused := refused_name(name):
            rejections.append(refused)
        elif is_side_file(name):
            side_files.append(name)
        elif slash:
            try:
                given = checked_label(normalized(label))
            except RejectedError as error:
                rejections.append(Rejection({"image": name}, error.reason, error.detail))
                continue
            version = version_of([file])
            row = Row(name, file.location, given, split=split, size=file.size, version=version)
            rows.append(row)
        elif is_photograph(name):
            detail = "stands beside the label folders, not in one"
            rejections.append(Rejection({"image": name}, Reason.NO_LABEL, detail))
    return Table(rows, rejections, {}, side_files)


def _split_folders(root: str, folders: Sequence[str]) -> Mapping[str, str]:
    """The split of each folder, where all folders are named as splits; else none."""
    if len({named_split(name) for name in folders} - {None}) < 2:
        return {}
    depths = {name: depth for name in folders if (depth := _depth(root, name))}
    splits = {name: split for name in depths if (split := named_split(name)) is not None}
    if len(set(splits.values())) < 2:
        return {}
    shown = ", ".join(sorted(splits))
    if len(splits) < len(depths):
        others = sorted(depths.keys() - splits.keys())
        if all(depths[name] > 1 for name in splits):
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


def _depth(root: str, name: str) -> int:
    """2 where a folder has folders with files, 1 where it has files only, 0 where it has none."""
    inner, files = _level(root, f"{name}/")
    # A store has no empty folders, and those of splits may hold millions of files.
    is_known = is_uri(root) and named_split(name) is not None
    if any(is_known or _has_files(root, ListedFolder(f"{name}/{each}/", True)) for each in inner):
        return 2
    return int(any(not is_side_file(each) for each in files))


def _has_files(root: str, folder: ListedFolder) -> bool:
    return any(not is_side_file(name) for name, _ in files_of(root, folder))
