"""A source in parts, each listed by one worker: runs of label folders, tables, ranges of tables."""

import dataclasses
import glob
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.sources.archive import is_archive, unpacked
from components.ingest.sources.digits import DIGITS, write_digits
from components.ingest.sources.folder import ListedFolder, find_folders
from darkroom.errors import SettingsError
from darkroom.sources.storage import listed_files, local_files
from darkroom.sources.table_records import is_json_lines
from darkroom.storage.files import StoredFile
from darkroom.storage.paths import is_uri

_TABLE_NAME = re.compile(r"\.(csv|tsv|jsonl|ndjson)$", re.IGNORECASE)
_log = logging.getLogger("darkroom.ingest")
_MOST_FOLDER_PARTS = 256
_RANGE_BYTES = 64_000_000
"""So many bytes of JSON Lines are one part."""


@dataclasses.dataclass(frozen=True)
class FolderPart:
    """Some of the folders below a data folder.

    Attributes:
        number: Its place among the parts.
        root: Path or URI of the data folder.
        folders: The folders.
        is_further: Whether it is of `ingest.further_data`.
    """

    number: int
    root: str
    folders: tuple[ListedFolder, ...]
    is_further: bool = False


@dataclasses.dataclass(frozen=True)
class TablePart:
    """A table's file, or a range of one.

    Attributes:
        number: Its place among the parts.
        file: Path or URI.
        begin: Its first byte; the line that begins at it or first after it is its first.
        end: The byte after its last one; None for the file's end.
        is_further: Whether it is of `ingest.further_data`.
    """

    number: int
    file: str
    begin: int = 0
    end: int | None = None
    is_further: bool = False


Part = FolderPart | TablePart


def all_parts(data: str, further: Sequence[str], scratch: Path) -> list[Part]:
    """The parts of a source, and after them those of what is added to it.

    Args:
        data: As `find_parts` takes it.
        further: The same of each place of `ingest.further_data`; a glob may match nothing.
        scratch: Where the digits are written, or archives are unpacked.

    Raises:
        SettingsError: There is nothing at a place, or it cannot be read.
    """
    parts = find_parts(data, scratch)
    for number, place in enumerate(further):
        inner = scratch / f"further-{number}"
        inner.mkdir(parents=True)
        for part in find_parts(place, inner) if has_any(place) else ():
            parts.append(dataclasses.replace(part, number=len(parts), is_further=True))
    return parts


def places_of(data: str, settings: IngestSettings) -> Iterator[tuple[str, IngestSettings]]:
    """Each place that ingest would read, with the settings by which it alone is read.

    Args:
        data: As ingest takes it.
        settings: Ingest's settings.
    """
    yield data, settings.of_data()
    # A table need not have the group's column: each row that lacks it is refused.
    of_further = settings.of_further_data().model_copy(update={"group_by": None})
    for place in filter(has_any, settings.further_data):
        yield place, of_further


def has_any(place: str) -> bool:
    """Whether there is anything to read at a place of `ingest.further_data`.

    Without any, a glob is let pass, and said in the log; any other place is missed when it is read.
    """
    if not glob.has_magic(place) or (listed_files(place) if is_uri(place) else local_files(place)):
        return True
    _log.info("no table %s yet", place)
    return False


def find_parts(data: str, scratch: Path) -> list[Part]:
    """Finds the parts of a source, in the order of their rows.

    Args:
        data: A folder of label folders, a CSV or JSON Lines file, a glob of such files, any of
            these as a URI, an archive of label folders, or `sklearn:digits`.
        scratch: Where the digits are written, or an archive is unpacked.

    Raises:
        SettingsError: There is nothing at `data`, or it cannot be read.
    """
    if data == DIGITS:
        write_digits(scratch)
        return folder_parts(str(scratch))
    if is_uri(data):
        if not _TABLE_NAME.search(data) and not glob.has_magic(data):
            return folder_parts(data)
        return table_parts(listed_files(data), data)
    if Path(data).is_dir():
        return folder_parts(data)
    if is_archive(data):
        return folder_parts(str(unpacked(Path(data), scratch)))
    return table_parts([_local(file) for file in local_files(data)], data)


def folder_parts(root: str) -> list[Part]:
    """The parts of a folder of label folders.

    Raises:
        SettingsError: Its folders are splits with no label folders in them, or may not be read.
    """
    root = root.rstrip("/") if is_uri(root) else str(Path(root))
    folders = find_folders(root)
    each = -(-len(folders) // _MOST_FOLDER_PARTS)
    runs = [folders[first : first + each] for first in range(0, len(folders), max(each, 1))]
    return [FolderPart(number, root, tuple(run)) for number, run in enumerate(runs)]


def table_parts(files: Sequence[StoredFile], data: str) -> list[Part]:
    """The parts of tables: a CSV's quotes are known from its beginning only, so it is one.

    Args:
        files: The tables.
        data: What names them.

    Raises:
        SettingsError: There is none.
    """
    if not files:
        raise SettingsError(f"data path {data} does not exist")
    parts: list[Part] = []
    for file in files:
        begins = [0]
        if is_json_lines(file.location):
            begins = list(range(0, max(file.size, 1), _RANGE_BYTES))
        for begin, end in zip(begins, [*begins[1:], None], strict=True):
            parts.append(TablePart(len(parts), file.location, begin, end))
    return parts


def _local(file: str) -> StoredFile:
    try:
        return StoredFile(file, Path(file).stat().st_size, 0.0)
    except OSError:  # reading it says why
        return StoredFile(file, 0, 0.0)
