"""Labels that come after a photograph was answered: tables, and exports of a labelling tool.

    image_id,label,labelled_at,camera
    9f86d0...,roses,2026-11-27T09:00:00Z,left

A row goes by `image_id`, the SHA-256 of the photograph's file, or by `key`, which the request had.
Where both are there, `image_id` counts. `labelled_at` may say when somebody looked, and all other
columns say what the photograph is, to slice by.
"""

import csv
import datetime
import io
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TextIO

from darkroom.artifacts.rejected import RejectedError
from darkroom.errors import SettingsError
from darkroom.label_studio import annotations, chosen_labels, is_task
from darkroom.storage import files

IDENTITIES = ("image_id", "key")
"""The columns that a photograph may go by, the better one first."""
_LABEL = "label"
_LABELLED_AT = "labelled_at"
_COLUMNS = (*IDENTITIES, _LABEL, _LABELLED_AT)
_END = 1e11
"""Seconds since 1970 at which no time is any more: milliseconds are none."""
_OF_ANNOTATION = ("annotator", "updated_at", "was_cancelled")
"""What Label Studio says of an annotation, and not of its photograph."""


class LabelRow(NamedTuple):
    """What somebody says of a photograph.

    Attributes:
        by: What the photograph goes by: `image_id` or `key`.
        name: That of the photograph.
        label: Its label.
        labelled_at: When it was given, in seconds since 1970; None where that is not said.
        columns: Text, numbers and truth values of the other columns.
    """

    by: str
    name: str
    label: str
    labelled_at: float | None
    columns: Mapping[str, Any]


class BadRow(NamedTuple):
    """A row that cannot be read.

    Attributes:
        number: Which one it is, from 1; a header counts.
        reason: Why.
    """

    number: int
    reason: str


def read_labels(location: str) -> Iterator[LabelRow | BadRow]:
    """Reads labels, row by row.

    Rows without a label are of photographs that nobody has looked at yet, and are left out; so are
    a labelling tool's annotations that were cancelled or say nothing.

    Args:
        location: Path or URI of a CSV file; of JSON Lines (`.jsonl`, `.ndjson`, `.json`), an object
            a row; or of a JSON list (`.json`), of such objects or of Label Studio's tasks, whose
            `data` names the photograph and whose annotations choose its label, by choices of the
            name `label`.

    Raises:
        SettingsError: It has no such columns, or cannot be read.
    """
    seen: set[str] = set()
    with (
        files.clear_errors(f"cannot read {location}", SettingsError),
        files.opened(location) as file,
        io.TextIOWrapper(file, "utf-8-sig", errors="replace", newline="") as text,
    ):
        for number, row in enumerate(_rows(text, location), 1):
            if isinstance(row, str):
                yield BadRow(number, row)
                continue
            seen |= row.keys()
            if (read := _label_row(row, number)) is not None:
                yield read
    if _LABEL not in seen or not seen.intersection(IDENTITIES):
        has = ", ".join(sorted(map(str, seen))) or "none"
        raise SettingsError(
            f"{location} needs the columns label, and image_id or key; it has {has}"
        )


def _label_row(row: Mapping[str, Any], number: int) -> LabelRow | BadRow | None:
    by = next((name for name in IDENTITIES if row.get(name) not in (None, "")), None)
    try:
        labels = chosen_labels(row.get(_LABEL))
    except RejectedError as error:
        return BadRow(number, error.detail)
    if not labels:
        return None
    if by is None:
        return BadRow(number, "it has a label, and neither image_id nor key")
    if len(labels) > 1:
        return BadRow(number, "it has several labels")
    try:
        labelled_at = parsed_time(row.get(_LABELLED_AT))
    except ValueError:
        return BadRow(number, f"labelled_at is no time: {row[_LABELLED_AT]}")
    columns = {
        str(name): value
        for name, value in row.items()
        if name not in _COLUMNS
        and isinstance(value, str | int | float)
        and value not in ("", math.inf, -math.inf)
        and value == value  # not-a-number, which JSON cannot write, is not itself
    }
    if not all(map(is_unicode, (row[by], row[_LABEL], *columns.values()))):
        return BadRow(number, "it has a text that is no Unicode")
    return LabelRow(by, str(row[by]), labels[0], labelled_at, columns)


def is_unicode(value: Any) -> bool:
    r"""Whether a value is no text, or one that can be written: JSON may hold halves of characters.

    >>> is_unicode("rosée"), is_unicode(json.loads(r'"\ud800"')), is_unicode(None)
    (True, False, True)
    """
    return not isinstance(value, str) or not any("\ud800" <= each <= "\udfff" for each in value)


def parsed_time(value: Any) -> float | None:
    """A time as seconds since 1970, from a number of them or from ISO 8601; UTC if it has no zone.

    Args:
        value: None and "" are no time.

    Raises:
        ValueError: It is another thing.

    >>> parsed_time("1970-01-02"), parsed_time("1970-01-01T01:00:00+01:00"), parsed_time("")
    (86400.0, 0.0, None)
    """
    if value in (None, ""):
        return None
    try:
        if isinstance(value, int | float) or re.fullmatch(r"\d{9,}(\.\d+)?", str(value)):
            seconds = float(value)
        else:
            time = datetime.datetime.fromisoformat(str(value))
            seconds = (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
    except OverflowError:
        raise ValueError(f"{value} is no time") from None
    if not 0 <= seconds < _END:
        raise ValueError(f"{value} is no time since 1970")
    return seconds


def _rows(text: TextIO, location: str) -> Iterator[Mapping[str, Any] | str]:
    """The rows; a text is the reason why one cannot be read."""
    if not location.endswith((".json", ".jsonl", ".ndjson")):
        # Else what follows a quote that does not end would be one row, and its labels withdrawn.
        table = csv.DictReader(text, strict=True)
        yield dict.fromkeys(table.fieldnames or ())
        yield from table
        return
    first = next((line for line in text if line.strip()), "")
    if first.lstrip().startswith("["):
        for entry in json.loads(first + text.read()):
            yield from _entry_rows(entry)
        return
    for line in itertools.chain([first], text):
        if line.strip():
            yield from _parsed(line)


def _parsed(line: str) -> Iterator[Mapping[str, Any] | str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        yield "it is no JSON"
        return
    yield row if isinstance(row, dict) else "it is no JSON object"


def _entry_rows(entry: Any) -> Iterator[Mapping[str, Any] | str]:
    """The rows of an entry of a JSON list: one, or one for each annotation of a task."""
    if not is_task(entry):
        yield entry if isinstance(entry, dict) else "it is no JSON object"
        return
    for given in annotations(entry):
        if given is None:
            yield "it is no annotation of a task"
            continue
        label = None if given["was_cancelled"] else given[_LABEL]
        about = {name: value for name, value in given.items() if name not in _OF_ANNOTATION}
        yield about | {_LABEL: label, _LABELLED_AT: given["updated_at"]}
