"""What all rows of a source decide of each: types of columns, lists of labels, splits, lines."""

import bisect
import dataclasses
import itertools
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from components.ingest.settings import IngestSettings
from components.ingest.sources.blocks import Block, Facts, Place
from components.ingest.sources.rows import Row, with_label_lists
from darkroom.artifacts.examples import SPLITS
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import SettingsError, StepError
from darkroom.settings import nearest
from darkroom.sources.columns import ColumnTypes, convert
from darkroom.sources.table_records import rejection

_log = logging.getLogger("darkroom.ingest")


@dataclasses.dataclass(frozen=True)
class Settled:
    """What all rows decide of each.

    Attributes:
        columns: Type by name of the extra columns.
        has_lists: Whether every row has a list of labels.
        splits: Where rows that ask for train may fall, if not into train alone.
        drawn: The splits that are drawn by hash for any row; those whose label a model gave are
            refused where it would not be train.
        places: The blocks, in order.
        firsts: The ordinal of the first row of each.
        files: The table of each part; empty for folders.
        lines: Number of lines of its table that are before each part.
    """

    columns: dict[str, str]
    has_lists: bool
    splits: tuple[str, ...] | None
    drawn: tuple[str, ...]
    places: Sequence[Place]
    firsts: Sequence[int]
    files: Mapping[int, str]
    lines: Mapping[int, int]

    def first(self, place: Place) -> int:
        """The ordinal of a block's first row."""
        return self.firsts[bisect.bisect_left(self.places, place)]

    def place(self, ordinal: int) -> Place:
        """The block of a row."""
        return self.places[bisect.bisect_right(self.firsts, ordinal) - 1]


def settle(facts: Iterable[Facts], settings: IngestSettings) -> Settled:
    """Decides what all rows say together.

    Args:
        facts: Of every block.
        settings: The ingest step's settings.
    """
    facts = sorted(facts, key=lambda each: each.place)
    types = ColumnTypes()
    lines: dict[int, int] = {}
    read: Counter[str] = Counter()
    for each in facts:
        types.merge(each.types)
        lines.setdefault(each.place[0], read[each.file])
        read[each.file] += each.lines
    keeps_conflicts = settings.conflicting_labels == "keep"
    counts = [each.rows for each in facts]
    return Settled(
        types.types(),
        # JSON Lines may mix labels and lists of them.
        keeps_conflicts or any(each.has_lists for each in facts),
        None,
        SPLITS,
        [each.place for each in facts],
        [0, *itertools.accumulate(counts)][:-1],
        {each.place[0]: each.file for each in facts},
        lines,
    )


def with_all_splits(settled: Settled, facts: Iterable[Facts], settings: IngestSettings) -> Settled:
    """Where the input names splits, but not all: those that lack come out of train.

    Further data has no say in it: no photograph changes its split by what is added.
    """
    of_data = (each.splits for each in facts if not each.is_further)
    asked: set[str | None] = set().union(*of_data)
    lacking = [
        split for split in SPLITS if split not in asked and getattr(settings.split, split) > 0
    ]
    if None in asked:
        return settled
    if "train" not in asked or not lacking:
        return dataclasses.replace(settled, drawn=("train",))
    _log.info("no row asks for %s: taken from train by ingest.split", " or ".join(lacking))
    return dataclasses.replace(settled, splits=("train", *lacking), drawn=("train", *lacking))


def check_source(
    data: str, facts: Sequence[Facts], settled: Settled, settings: IngestSettings
) -> None:
    """Checks that a source has rows, and the columns that settings name.

    Raises:
        SettingsError: It has no such column.
        StepError: It has no row at all.
    """
    if not any(each.rows or each.refused for each in facts):
        raise StepError(f"no image at all in {data}: expected label folders of images, or a table")
    columns = settled.columns
    if settings.group_by is not None and settings.group_by not in columns:
        offer = nearest(settings.group_by, columns) if columns else ""
        raise SettingsError(f"ingest.group_by: no column '{settings.group_by}' in the data{offer}")
    if settings.mask_column is not None and not any(each.has_masks for each in facts):
        offer = nearest(settings.mask_column, columns) if columns else ""
        raise SettingsError(
            f"ingest.tiles.mask_column: no row has a '{settings.mask_column}'{offer}"
        )


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a block, as they are to be read.

    Attributes:
        rows: The rows.
        ordinals: The place of each among all rows of the source.
        rejections: Rows that are refused, in order.
    """

    rows: list[Row]
    ordinals: Sequence[int]
    rejections: list[Rejection]


def settled_rows(block: Block, settled: Settled) -> Rows:
    """Makes of a block's rows what all rows have decided.

    Args:
        block: The block; its rows' cells are converted in place.
        settled: What all rows decide.
    """
    first = settled.first(block.place)
    rows = block.rows
    rejections = sorted([*block.rejections, *_repeated(block, settled)], key=lambda each: each[0])
    convert((row.columns for row in rows), settled.columns)
    if settled.has_lists:
        rows = with_label_lists(rows)
    if settled.splits is not None or settled.drawn != SPLITS:
        rows = [_drawn(row, settled) for row in rows]
    before = settled.lines[block.place[0]]
    ordinals = range(first, first + len(rows))
    return Rows(rows, ordinals, [_numbered(each, before) for _, each in rejections])


def _repeated(block: Block, settled: Settled) -> Iterator[tuple[int, Rejection]]:
    for repeat, record in block.repeats:
        line = settled.lines[repeat.part] + repeat.first
        detail = f"the same image and label as line {line} of {settled.files[repeat.part]}"
        yield record.line, rejection(block.file, record, Reason.DUPLICATE_ROW, detail)


def _drawn(row: Row, settled: Settled) -> Row:
    if row.is_pseudo_labelled:
        return dataclasses.replace(row, splits=settled.drawn)
    if settled.splits is not None and row.split == "train":
        return dataclasses.replace(row, split=None, splits=settled.splits)
    return row


def _numbered(refused: Rejection, before: int) -> Rejection:
    """A rejection with the number of its line in the whole table."""
    if not before or "line" not in refused.row:
        return refused
    row = {**refused.row, "line": int(str(refused.row["line"])) + before}
    return Rejection(row, refused.reason, refused.detail, refused.twin)
