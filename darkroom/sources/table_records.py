"""Records of one table file, CSV or JSON Lines, each with the line it stood on."""

import csv
import dataclasses
import itertools
import json
import logging
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from darkroom.artifacts.examples import normalized
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import StepError
from darkroom.sources.columns import ColumnTypes
from darkroom.sources.storage import opened, opened_lines
from darkroom.storage.paths import is_uri

_LIKE_SPLITS = frozenset({"subset", "set", "ml_use", "fold", "partition"})
"""Names that others give the column of splits."""
_JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = (",", ";", "\t", "|")
_MOST_CHARACTERS = 100_000_000
"""The longest line that is read; a whole file in one line is no table."""
_log = logging.getLogger("darkroom.sources")


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a step asks of a table's columns.

    Attributes:
        image_column: The column that holds the image.
        required: The columns that there must be, each with the setting that gives it its name.
        own: Columns that the step reads itself; all others are extra ones.
        columns: The names of the columns of a CSV without a header line; None where it has one.
        instead: Columns in whose presence a required one may be missing, by the required one.
        reserved: Names that an extra column must not take.
        split_column: The column of splits, which is found in any case; None where there is none.
        example: A header line, for messages.
    """

    image_column: str
    required: Mapping[str, str]
    own: frozenset[str]
    columns: tuple[str, ...] | None = None
    instead: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reserved: frozenset[str] = frozenset()
    split_column: str | None = None
    example: str = "image,camera"


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
    location: str, layout: Layout, seen: Seen, begin: int = 0, end: int | None = None
) -> Iterator[Record | Rejection]:
    """Reads a table file, line by line.

    Args:
        location: Path or URI; what does not end in `.jsonl` or `.ndjson` is read as CSV.
        layout: What its columns must be.
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
                yield from _json_records(location, text, layout, seen, begin)
            else:
                yield from _csv_records(location, text, layout, seen)
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
    location: str, text: TextIO, layout: Layout, seen: Seen
) -> Iterator[Record | Rejection]:
    # Strict, since a quote that is never closed would else swallow all lines below it.
    lines = _lines(location, text, seen)
    first = next(lines, "")
    reader = csv.reader(
        itertools.chain([first] if first else [], lines),
        delimiter=_delimiter(first, layout),
        skipinitialspace=True,
        strict=True,
    )
    header = _named_alike(location, layout.columns or (), layout)
    _name_columns(location, header, layout, seen.types)
    started = 1
    try:
        for fields in reader:
            started = reader.line_num + 1
            if not fields:
                continue
            fields = list(map(str.strip, fields))
            if not header:
                header = _checked_header(location, _named_alike(location, fields, layout), layout)
                _name_columns(location, header, layout, seen.types)
                continue
            yield _csv_record(location, reader.line_num, header, fields)
    except csv.Error as error:
        raise StepError(
            f"{location} does not parse as CSV in the row from line {started}: {error}; "
            "is a quote missing?"
        ) from None


def _delimiter(first: str, layout: Layout) -> str:
    """The delimiter of a table: the one that makes its first line the columns; else the comma."""
    for delimiter in _DELIMITERS:
        try:
            (fields,) = csv.reader([first], delimiter=delimiter, skipinitialspace=True)
        except (ValueError, csv.Error):
            continue
        names = [normalized(field.strip()) for field in fields]
        if layout.columns is not None:
            is_fitting = len(names) == len(layout.columns)
        else:
            is_fitting = layout.image_column in names and len(names) > 1
        if is_fitting:
            return delimiter
    return _DELIMITERS[0]


def _named_alike(location: str, names: Iterable[str], layout: Layout) -> list[str]:
    """Columns' names in their one spelling; `Split` is the column `split`."""
    header = [normalized(name) for name in names]
    if layout.split_column is not None and layout.split_column not in header:
        alike = [name for name in header if name.strip().lower() == layout.split_column]
        if len(alike) == 1:
            header[header.index(alike[0])] = layout.split_column
        for name in header:
            if name.strip().lower() in _LIKE_SPLITS and not alike:
                _log.warning(
                    "%s: column '%s' is an extra column; if it holds the splits, rename it to '%s'",
                    location,
                    name,
                    layout.split_column,
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


def _checked_header(location: str, header: list[str], layout: Layout) -> list[str]:
    """The header, if it names the image and the label and no name collides with our features."""
    if any("\0" in name for name in header):
        raise StepError(f"{location} is not UTF-8 text but UTF-16, it seems; save it as UTF-8")
    for required, setting in layout.required.items():
        if required not in header and layout.instead.get(required) not in header:
            section = setting.partition(".")[0]
            raise StepError(
                f"{location} has no column '{required}': its first line must name the columns, "
                f"as in {layout.example}; or set {setting}, or {section}.columns"
            )
    if len(set(header)) < len(header) or "" in header:
        raise StepError(f"{location}: the first line names a column twice, or leaves a name empty")
    return [sys.intern(name) for name in header]


def extra_columns(names: Iterable[str], layout: Layout) -> list[str]:
    """The names that are those of extra columns.

    Raises:
        StepError: One is the name of a feature of ours.
    """
    extra = [name for name in names if name not in layout.own]
    taken = [name for name in extra if name in layout.reserved]
    if taken:
        raise StepError(f"the column name '{taken[0]}' is used by Darkroom; rename it")
    return extra


def _name_columns(
    location: str, names: Iterable[str], layout: Layout, columns: ColumnTypes
) -> None:
    """Tells `columns` of the extra columns; none may take the name of a feature of ours."""
    try:
        columns.name(extra_columns(names, layout))
    except StepError as error:
        raise StepError(f"{location}: {error}") from None


def _json_records(
    location: str, text: TextIO, layout: Layout, seen: Seen, begin: int
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
            names |= dict(zip(new, _named_alike(location, new, layout), strict=True))
            _name_columns(location, names.values(), layout, seen.types)
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


def location_of(path: str, folder: str) -> str:
    """The path or URI of an image that a table names.

    Args:
        path: The table's cell.
        folder: The table's own folder, with a slash at its end; empty for the current one.
    """
    location = path if is_uri(path) or path.startswith("/") else folder + path
    if is_uri(location) or (path.isascii() and "\\" not in path):
        return location
    # A table from Windows, or from a system that spells an accent as a letter of its own.
    slashed = location.replace("\\", "/")
    forms = [unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")]
    return next((each for each in (location, slashed, *forms) if _is_there(each)), location)


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name that is too long, or a folder that may not be entered
        return False
