"""Rows as a part of a source lists them, in blocks that bear any size of the whole."""

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from components.ingest.settings import IngestSettings
from components.ingest.sources.folder import files_of, folder_table
from components.ingest.sources.parts import FolderPart, Part, TablePart
from components.ingest.sources.rows import Row, ending
from components.ingest.sources.table import TableReader
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.sources.columns import ColumnTypes
from darkroom.sources.table_records import Record, is_json_lines

ROWS_A_BLOCK = 50_000
"""So many rows take some 40 MB."""

Place = tuple[int, int]
"""The number of a part, and of a block in it."""
Keys = npt.NDArray[np.uint64]
"""What says that rows are equal, [N, 4]: a digest's halves, a block's place, a line."""


@dataclasses.dataclass(frozen=True)
class Repeat:
    """A row that says the same as an earlier one.

    Attributes:
        line: Its line in its part.
        part: The earlier one's part.
        first: The earlier one's line in that part.
    """

    line: int
    part: int
    first: int


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a block's rows, in a size that does not grow with their number.

    Attributes:
        place: The block's.
        file: The table; empty for folders.
        rows: Number of its rows.
        lines: Number of the table's lines in it.
        types: Types of the extra columns as far as they are known.
        has_lists: Whether any row has a list of labels.
        has_masks: Whether any row has a label mask.
        splits: The splits that rows ask for, with None where one asks for none; of rows whose
            label a model gave, none.
        refused: Refused rows by reason.
        side_files: Left out files by their ending.
        is_further: Whether it is of `ingest.further_data`.
    """

    place: Place
    file: str
    rows: int
    lines: int
    types: ColumnTypes
    has_lists: bool
    has_masks: bool
    splits: frozenset[str | None]
    refused: Counter[str]
    side_files: Counter[str]
    is_further: bool


@dataclasses.dataclass
class Block:
    """Rows in a row of one part; what all rows of the source decide is not decided yet.

    Attributes:
        place: Its part's number, and its own.
        part: Its part.
        rows: The rows.
        records: Of a table, the record of each, its line counted from 1 at the part's beginning.
        rejections: Rows refused already, each with its line, or 0.
        side_files: Files that are no photographs by their names.
        columns: The extra columns that have been named so far.
        begin: Number of the part's lines before it.
        end: Number of the part's lines up to its end.
        repeats: Rows that were dropped, each with its record.
    """

    place: Place
    part: Part
    rows: list[Row]
    records: list[Record] = dataclasses.field(default_factory=list)
    rejections: list[tuple[int, Rejection]] = dataclasses.field(default_factory=list)
    side_files: list[str] = dataclasses.field(default_factory=list)
    columns: ColumnTypes = dataclasses.field(default_factory=ColumnTypes)
    begin: int = 0
    end: int = 0
    repeats: list[tuple[Repeat, Record]] = dataclasses.field(default_factory=list)

    @property
    def file(self) -> str:
        """The table; empty for folders."""
        return self.part.file if isinstance(self.part, TablePart) else ""

    def keys(self) -> Keys:
        """What says that rows of tables are equal; files of a folder are not."""
        keys = np.zeros((len(self.records), 4), np.uint64)
        if len(keys):
            digests = b"".join(map(_digest, self.rows))
            keys[:, :2] = np.frombuffer(digests, np.uint64).reshape(-1, 2)
            keys[:, 2] = self.place[0] << 32 | self.place[1]
            keys[:, 3] = [record.line for record in self.records]
        return keys

    def drop(self, repeats: Iterable[Repeat]) -> None:
        """Takes rows out that say the same as earlier ones."""
        by_line = {repeat.line: repeat for repeat in repeats}
        stays = [record.line not in by_line for record in self.records]
        gone = [record for record in self.records if record.line in by_line]
        self.repeats = [(by_line[record.line], record) for record in gone]
        if gone:
            self.rows = list(itertools.compress(self.rows, stays))
        self.records = []  # they are needed no more

    def facts(self) -> Facts:
        """What is known of the rows in all, once repeats are out."""
        types = self.columns.copy()
        for row in self.rows:
            types.add(row.columns, is_json_lines(self.file))
        refused = Counter[str](rejection.reason for _, rejection in self.rejections)
        refused[Reason.DUPLICATE_ROW] += len(self.repeats)
        return Facts(
            self.place,
            self.file,
            len(self.rows),
            self.end - self.begin,
            types,
            any(row.labels for row in self.rows),
            any(row.mask for row in self.rows),
            frozenset(row.split for row in self.rows if not row.is_pseudo_labelled),
            +refused,
            Counter(map(ending, self.side_files)),
            self.part.is_further,
        )


def _digest(row: Row) -> bytes:
    # Of a photograph that a person labelled and a model too, the person's row must not go.
    marked = ("pseudo-labelled",) if row.is_pseudo_labelled else ()
    equal = repr((row.location, row.label, row.mask, *marked))
    return hashlib.blake2b(equal.encode(errors="surrogateescape"), digest_size=16).digest()


def list_part(part: Part, settings: IngestSettings) -> Iterator[Block]:
    """Lists the rows of a part, in blocks; there is one at least.

    Args:
        part: The part.
        settings: The ingest step's settings.

    Raises:
        SettingsError: A file or folder cannot be read.
        StepError: A table is not UTF-8, does not parse as CSV, or lacks a column.
    """
    blocks = _of_folders(part) if isinstance(part, FolderPart) else _of_table(part, settings)
    for number, block in enumerate(blocks):
        block.place = (part.number, number)
        yield block


def _of_folders(part: FolderPart) -> Iterator[Block]:
    files = (
        (folder.split, file) for folder in part.folders for file in files_of(part.root, folder)
    )
    while True:
        block = Block((0, 0), part, [])
        taken = list(itertools.islice(files, ROWS_A_BLOCK))
        for split, group in itertools.groupby(taken, key=lambda each: each[0]):
            table = folder_table((file for _, file in group), split)
            block.rows += table.rows
            block.rejections += [(0, rejection) for rejection in table.rejections]
            block.side_files += table.side_files
        yield block
        if len(taken) < ROWS_A_BLOCK:
            return


def _of_table(part: TablePart, settings: IngestSettings) -> Iterator[Block]:
    if part.is_further:
        settings = settings.of_further_data()
    reader = TableReader(part.file, part.begin, part.end, settings)
    outcomes = reader.read()
    begin = 0
    while True:
        taken = list(itertools.islice(outcomes, ROWS_A_BLOCK))
        block = Block((0, 0), part, [])
        for record, outcome in taken:
            if isinstance(outcome, Rejection):
                block.rejections.append((record.line, outcome))
            else:
                block.rows.append(outcome)
                block.records.append(record._replace(cells={}))
        block.columns = reader.columns
        is_last = len(taken) < ROWS_A_BLOCK
        block.begin, block.end = begin, reader.lines if is_last else taken[-1][0].line
        begin = block.end
        yield block
        if is_last:
            return
