"""Rows from CSV and JSON Lines tables: image, label, split, and any further columns."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from components.ingest.settings import IngestSettings
from components.ingest.sources.layout import SPLIT_COLUMN, layout_of
from components.ingest.sources.rows import Row, checked_label, joined_labels
from components.ingest.splits.split import named_split
from darkroom.artifacts.examples import PSEUDO_LABELLED, label_text
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.sources.columns import ColumnTypes, as_text
from darkroom.sources.table_records import Record, Seen, location_of, read_records, rejection

UNASSIGNED = "unassigned"
"""How Vertex spells that a row asks for no split."""
_MARKED = frozenset({"1", "1.0", "true", "yes"})
_NOT_MARKED = frozenset({"", "0", "0.0", "false", "no"})


class TableReader:
    """Reads the rows of a table's file, or of a range of it.

    An empty cell (or null, or a name that a JSON object lacks) is a missing value: it has no say
    in its column's type, and the row has no such feature. Cells keep the table's spelling: their
    types are known when all of it has been read.

    Args:
        file: Path or URI.
        begin: First byte of the range.
        end: The byte after its last one; None for the file's end.
        settings: The columns that hold image and labels, and the group.
    """

    def __init__(self, file: str, begin: int, end: int | None, settings: IngestSettings) -> None:
        self._range = (begin, end)
        self._file = file
        self._settings, self._layout = settings, layout_of(settings)
        self._seen = Seen()

    @property
    def columns(self) -> ColumnTypes:
        """The extra columns that have been named so far, without types."""
        return self._seen.types.copy()

    @property
    def lines(self) -> int:
        """Number of lines that have been read so far."""
        return self._seen.lines

    def read(self) -> Iterator[tuple[Record, Row | Rejection]]:
        """Gives every record, its line counted from 1 in the range, and its row or why it is none.

        Raises:
            SettingsError: The file cannot be read.
            StepError: It is not UTF-8, does not parse as CSV, or lacks a column.
        """
        folder = self._file.rpartition("/")[0] + "/" if "/" in self._file else ""
        for record in read_records(self._file, self._layout, self._seen, *self._range):
            if isinstance(record, Rejection):
                yield Record(int(str(record.row["line"])), "", {}), record
                continue
            try:
                yield record, _row(record, folder, self._settings)
            except RejectedError as error:
                yield record, rejection(self._file, record, error.reason, error.detail)


def _row(record: Record, folder: str, settings: IngestSettings) -> Row:
    """Parses a record; the cells that are left are the row's columns."""
    cells = record.cells
    mask = _mask(cells, folder, settings.mask_column)
    given = cells.pop(settings.label_column, None)
    labels = "" if mask else _labels(given, settings.label_separator)
    image = cells.pop(settings.image_column, None)
    if image is None:
        raise RejectedError(Reason.MISSING_FILE, "the image path is empty")
    if not isinstance(image, str):
        raise RejectedError(Reason.MALFORMED_ROW, f"the image path is {as_text(image)}, not text")
    split = _split(cells.pop(SPLIT_COLUMN, None))
    if _is_marked(cells.pop(PSEUDO_LABELLED, None)):
        split = _train_alone(split)
        cells[PSEUDO_LABELLED] = 1
    group = _group(cells, settings.group_by)
    location = location_of(image, folder)
    if isinstance(labels, str):
        return Row(image, location, labels, _shared(cells), (), split, group, mask)
    label = sys.intern(joined_labels(labels, settings.label_separator))
    return Row(image, location, label, _shared(cells), labels, split, group, mask)


def _mask(cells: dict[str, Any], folder: str, column: str | None) -> str | None:
    value = None if column is None else cells.pop(column, None)
    if value is not None and not isinstance(value, str):
        raise RejectedError(Reason.MALFORMED_ROW, f"the mask path is {as_text(value)}, not text")
    return None if value is None else location_of(value, folder)


def _labels(value: Any, separator: str | None) -> str | tuple[str, ...]:
    """The label, or the sorted labels where the data gives several."""
    if isinstance(value, list):
        names = {label_text(item).strip() for item in value if item is not None}
    elif isinstance(value, dict):
        raise RejectedError(Reason.MALFORMED_ROW, "the label is an object")
    elif value is None:
        names = set()
    elif separator is None:
        return sys.intern(checked_label(label_text(value)))
    else:
        names = {name.strip() for name in label_text(value).split(separator)}
    labels = tuple(sys.intern(checked_label(name)) for name in sorted(names) if name)
    if not labels:
        raise RejectedError(Reason.NO_LABEL, "the label is empty")
    return labels


def _split(value: Any) -> str | None:
    if value is None or as_text(value).strip().lower() == UNASSIGNED:
        return None
    split = named_split(as_text(value))
    if split is None:
        detail = f"'{as_text(value)}' is none of train, valid, test and {UNASSIGNED}"
        raise RejectedError(Reason.UNKNOWN_SPLIT, detail)
    return split


def _is_marked(value: Any) -> bool:
    """Whether a row says that a model gave its label."""
    text = "" if value is None else as_text(value).strip().lower()
    if text not in _MARKED | _NOT_MARKED:
        detail = f"'{text}' in column '{PSEUDO_LABELLED}' is neither 1 nor 0"
        raise RejectedError(Reason.MALFORMED_ROW, detail)
    return text in _MARKED


def _train_alone(split: str | None) -> str:
    if split in (None, "train"):
        return "train"
    detail = f"it asks for {split}, but a label that a model gave is for train alone"
    raise RejectedError(Reason.PSEUDO_LABEL_NOT_TRAIN, detail)


def _group(cells: Mapping[str, Any], column: str | None) -> str | None:
    if column is None:
        return None
    if column not in cells:
        raise RejectedError(Reason.NO_GROUP, f"column '{column}' is empty, and groups need it")
    return as_text(cells[column])


def _shared(cells: dict[str, Any]) -> dict[str, Any]:
    """The cells, equal text as one string: most columns have few values in a million rows."""
    for name, value in cells.items():
        if isinstance(value, str):
            cells[name] = sys.intern(value)
        elif not isinstance(value, int | float):
            cells[name] = as_text(value)
    return cells
