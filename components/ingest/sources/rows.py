"""What a source lists: rows to open, rows refused at once, and the types of their columns."""

import dataclasses
from collections.abc import Iterable, Sequence

from darkroom.artifacts.examples import PSEUDO_LABELLED, SPLITS
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.sources.columns import ColumnValue


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row of the input that has an image and a label; the image has not been opened yet.

    Attributes:
        image: The image as the input names it: a path within the data folder, or a table's cell.
        location: Path or URI to open.
        label: Its label; where there are several, the sorted labels joined by the separator.
        columns: Values of the extra columns; an empty cell has none.
        labels: Its labels, sorted and unique, where the data is multi-label; else empty.
        split: The split that the input asks for; None leaves it to the split function.
        group: The group column's value as the input spells it, where `group_by` is set. Unlike
            the typed value, it stays the same when other rows widen the column's type.
        mask: Path or URI of its label mask, which labels its tiles; the row then has no label.
        splits: The splits that the split function may give it.
        size: Bytes of a file in a store, where the store was asked; 0 where it was not.
        version: What changes when its files in a store do; empty where they are on this machine.
    """

    image: str
    location: str
    label: str
    columns: dict[str, ColumnValue] = dataclasses.field(default_factory=dict)
    labels: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    mask: str | None = None
    splits: tuple[str, ...] = SPLITS
    size: int = 0
    version: str = ""

    @property
    def is_pseudo_labelled(self) -> bool:
        """Whether a model gave the label: then it asks for train, and may be refused there."""
        return PSEUDO_LABELLED in self.columns


@dataclasses.dataclass(frozen=True)
class Table:
    """Everything the input lists.

    Attributes:
        rows: Rows to open.
        rejections: Rows refused before their image was opened.
        columns: Type (`bytes`, `int` or `float`) of every extra column.
        side_files: Files in the label folders that are no photographs by their names.
    """

    rows: list[Row]
    rejections: list[Rejection]
    columns: dict[str, str]
    side_files: list[str] = dataclasses.field(default_factory=list)


def ending(name: str) -> str:
    """By what a file that is left out is counted.

    >>> ending("roses/1.JSON")
    '.json'
    """
    return f".{name.rpartition('.')[2].lower()}"


def checked_label(label: str) -> str:
    """A label that fits a line of the label list.

    Raises:
        RejectedError: It holds a line break.
    """
    if "\n" in label or "\r" in label:
        raise RejectedError(Reason.MALFORMED_ROW, "the label holds a line break")
    return label


def with_label_lists(rows: Iterable[Row]) -> list[Row]:
    """The rows of data that is multi-label: one with a single label has a list of one."""
    return [row if row.labels else dataclasses.replace(row, labels=(row.label,)) for row in rows]


def joined_labels(labels: Sequence[str], separator: str | None) -> str:
    """Several labels as one text, with the separator of the table they came from if it has one."""
    return (separator or " ").join(labels)
