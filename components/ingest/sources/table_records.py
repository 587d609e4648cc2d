"""Records of one table file, CSV or JSON Lines, each with the line it stood on."""

import csv
import dataclasses
import itertools
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOWrapper
from typing import Any, NamedTuple, TextIO

from components.ingest.settings import IngestSettings
from components.ingest.sources.columns import ColumnTypes
from components.ingest.sources.storage import opened, opened_lines
from darkroom.artifacts.examples import FEATURE_TYPES, normalized
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.artifacts.tiles import TILE_COLUMNS
from darkroom.errors import StepError

RESERVED = frozenset(FEATURE_TYPES) | {"labels"}
"""Names of our own features, which an extra column must not take."""
SPLIT_COLUMN = "split"
_LIKE_SPLITS = frozenset({"subset", "set", "ml_use", "fold", "partition"})
"""Names that others give the column of splits."""
_JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = (",", ";", "\t", "|")
_MOST_CHARACTERS = 100_000_000
"""The longest line that is read; a whole file in one line is no table."""
_log = logging.getLogger("darkroom.ingest")


class Record(NamedTuple):
    """A line of a table.

    Attributes:
        line: Its number, from 1.
        given: The line as it came in: a CSV's fields, or the text of JSON Lines.
        cells: What is not empty, by column: text from a CSV, any JSON value from JSON Lines.
    """

    line: int
    given: list[str] | str
    cells: dict[str, Any]


@dataclasses.dataclass
class Seen:
    """What reading a table has shown so far.

    Attributes:
        types: Names of the extra columns, of which some may hold no value at all.
        lines: Number of lines.
    """

    types: ColumnTypes = dataclasses.field(default_factory=ColumnTypes)
    lines: int = 0


def read_records(
    location: str, settings: IngestSettings, seen: Seen, begin: int = 0, end: int | None = None
) -> Iterator[Record | Rejection]:
    """Reads a table file, line by line.

    Args:
        location: Path or URI; what does not end in `.jsonl` or `.ndjson` is read as CSV.
        settings: The names of the image's and the label's column, and of all where given.
        seen: Learns the names of the extra columns, and the number of lines.
        begin: First byte of the range to read of JSON Lines.
        end: The byte after its last one; None for the file's end.

    Raises:
        SettingsError: The file cannot be read.
        StepError: It is not UTF-8, does not parse as CSV, or lacks a column.
    """
    is_whole = begin == 0 and end is None
    with opened(location) if is_whole else opened_lines(location, begin, end) as file:
        text = TextIOWrapper(file, encoding="utf-8" if begin else "utf-8-sig", newline="")
        try:
            if is_json_lines(location):
                yield from _json_records(location, text, settings, seen, begin)
            else:
                yield from _csv_records(location, text, settings, seen)
        except UnicodeDecodeError:
            line = _undecodable_line(location)
            raise StepError(
                f"{location} is not UTF-8 text (line {line}); save it as UTF-8"
            ) from None


def rejection(location: str, record: Record, reason: Reason, detail: str) -> Rejection:
    """A rejection that shows a record as it came in."""
    kind = "text" if isinstance(record.given, str) else "fields"
    row = {"file": location, "line": record.line, kind: record.given}
    return Rejection(row, reason, detail)


def is_json_lines(location: str) -> bool:
    """Whether a file's name says that it holds JSON Lines."""
    return location.lower().endswith(_JSON_LINES)


def _undecodable_line(location: str) -> int:
    with opened(location) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0


def _lines(location: str, text: TextIO, seen: Seen, begin: int = 0) -> Iterator[str]:
    after = f" after byte {begin:,}" if begin else ""
    while line := text.readline(_MOST_CHARACTERS):
        seen.lines += 1
        if len(line) == _MOST_CHARACTERS:
            raise StepError(
                f"{location} line {seen.lines}{after} has more than {_MOST_CHARACTERS:,} "
                "characters: a table has a row in each line"
            )
        yield line


def _csv_records(
    location: str, text: TextIO, settings: IngestSettings, seen: Seen
) -> Iterator[Record | Rejection]:
    # Strict, since a quote that is never closed would else swallow all lines below it.
    lines = _lines(location, text, seen)
    first = next(lines, "")
    reader = csv.reader(
        itertools.chain([first] if first else [], lines),
        delimiter=_delimiter(first, settings),
        skipinitialspace=True,
        strict=True,
    )
    header = _named_alike(location, settings.columns or ())
    _name_columns(location, header, settings, seen.types)
    started = 1
    try:
        for fields in reader:
            started = reader.line_num + 1
            if not fields:
                continue
            fields = list(map(str.strip, fields))
            if not header:
                header = _checked_header(location, _named_alike(location, fields), settings)
                _name_columns(location, header, settings, seen.types)
                continue
            yield _csv_record(location, reader.line_num, header, fields)
    except csv.Error as error:
        raise StepError(
            f"{location} does not parse as CSV in the row from line {started}: {error}; "
            "is a quote missing?"
        ) from None


def _delimiter(first: str, settings: IngestSettings) -> str:
    """The delimiter of a table: the one that makes its first line the columns; else the comma."""
    for delimiter in _DELIMITERS:
        try:
            (fields,) = csv.reader([first], delimiter=delimiter, skipinitialspace=True)
        except (ValueError, csv.Error):
            continue
        names = [normalized(field.strip()) for field in fields]
        if settings.columns is not None:
            is_fitting = len(names) == len(settings.columns)
        else:
            is_fitting = settings.image_column in names and len(names) > 1
        if is_fitting:
            return delimiter
    return _DELIMITERS[0]


def _named_alike(location: str, names: Iterable[str]) -> list[str]:
    """Columns' names in their one spelling; `Split` is the column `split`."""
    header = [normalized(name) for name in names]
    if SPLIT_COLUMN not in header:
        alike = [name for name in header if name.strip().lower() == SPLIT_COLUMN]
        if len(alike) == 1:
            header[header.index(alike[0])] = SPLIT_COLUMN
        for name in header:
            if name.strip().lower() in _LIKE_SPLITS and not alike:
                _log.warning(
                    "%s: column '%s' is an extra column; if it holds the splits, rename it to '%s'",
                    location,
                    name,
                    SPLIT_COLUMN,
                )
    return header


def _csv_record(
    location: str, line: int, header: Sequence[str], fields: list[str]
) -> Record | Rejection:
    cells = {name: field for name, field in zip(header, fields, strict=False) if field}
    record = Record(line, fields, cells)
    if len(fields) < len(header):
        detail = f"{len(fields)} fields where the header names {len(header)}"
        return rejection(location, record, Reason.TOO_FEW_COLUMNS, detail)
    if len(fields) > len(header) and any(fields[len(header) :]):
        detail = f"{len(fields)} fields where the header names {len(header)}; quote commas"
        return rejection(location, record, Reason.TOO_MANY_COLUMNS, detail)
    return record


def _checked_header(location: str, header: list[str], settings: IngestSettings) -> list[str]:
    """The header, if it names the image and the label and no name collides with our features."""
    if any("\0" in name for name in header):
        raise StepError(f"{location} is not UTF-8 text but UTF-16, it seems; save it as UTF-8")
    required_columns = {settings.image_column: "image_column"}
    if settings.mask_column not in header:
        required_columns[settings.label_column] = "label_column"
    for required, setting in required_columns.items():
        if required not in header:
            raise StepError(
                f"{location} has no column '{required}': its first line must name the columns, "
                f"as in image,label,camera; or set ingest.{setting}, or ingest.columns"
            )
    if len(set(header)) < len(header) or "" in header:
        raise StepError(f"{location}: the first line names a column twice, or leaves a name empty")
    return [sys.intern(name) for name in header]


def extra_columns(names: Iterable[str], settings: IngestSettings) -> list[str]:
    """The names that are those of extra columns.

    Raises:
        StepError: One is the name of a feature of ours.
    """
    own = (settings.image_column, settings.label_column, SPLIT_COLUMN, settings.mask_column)
    extra = [name for name in names if name not in own]
    reserved = RESERVED | TILE_COLUMNS.keys() if settings.tiles else RESERVED
    taken = [name for name in extra if name in reserved]
    if taken:
        raise StepError(f"the column name '{taken[0]}' is used by Darkroom; rename it")
    return extra


def _name_columns(
    location: str, names: Iterable[str], settings: IngestSettings, columns: ColumnTypes
) -> None:
    """Tells `columns` of the extra columns; none may take the name of a feature of ours."""
    try:
        columns.name(extra_columns(names, settings))
    except StepError as error:
        raise StepError(f"{location}: {error}") from None


def _json_records(
    location: str, text: TextIO, settings: IngestSettings, seen: Seen, begin: int
) -> Iterator[Record | Rejection]:
    names: dict[str, str] = {}
    for number, line in enumerate(_lines(location, text, seen, begin), start=1):
        line = line.strip()
        if not line:
            continue
        try:
            found = _json_object(line)
        except (ValueError, RecursionError) as error:
            detail = f"not a JSON object: {error}"
            yield rejection(location, Record(number, line, {}), Reason.MALFORMED_ROW, detail)
            continue
        if not found.keys() <= names.keys():
            new = [name for name in found if name not in names]
            names |= dict(zip(new, _named_alike(location, new), strict=True))
            _name_columns(location, names.values(), settings, seen.types)
        # A parsed object has strings of its own for its names; a million rows share ours.
        cells = {names[name]: value for name, value in found.items() if value not in _EMPTY}
        yield Record(number, line, cells)


_EMPTY: tuple[Any, ...] = (None, "", [])


def _json_object(line: str) -> dict[str, Any]:
    value = _DECODER.decode(line)
    if not isinstance(value, dict):
        raise ValueError(f"found {type(value).__name__}")
    # JSON can escape half of a character, which no file can hold.
    if "\\u" in line:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
