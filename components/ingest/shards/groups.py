"""All rows as groups: those of an earlier run's shards, new ones, and copies known before."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, row_as_json
from components.ingest.shards.chunks import Cut, Sizes, cut_rows, size_of
from components.ingest.shards.entry import GONE, entry_schema, write_table
from components.ingest.shards.group import Group, numbered
from components.ingest.shards.index import Index, read_facts, read_part
from components.ingest.shards.known import Match, find_matches, known_marks, row_marks
from components.ingest.sources.rows import Row

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Numbers:
    """The numbers of all groups.

    Attributes:
        stored: Numbers of the parts of the earlier index that have shards; their groups come first.
        cut: How new rows are cut into chunks, which come next.
        chunks: Number of chunks.
        unstored: Numbers of the parts with entries of copies, whose groups come last.
    """

    stored: Sequence[int]
    cut: Cut
    chunks: int
    unstored: Sequence[int]

    @classmethod
    def of(
        cls,
        sizes: Sizes,
        stored: Iterable[int],
        unstored: Iterable[int],
        settings: IngestSettings,
    ) -> "Numbers":
        """Numbers the groups.

        Args:
            sizes: Of the new rows' files.
            stored: Parts of the earlier index that have shards.
            unstored: Parts with entries of rows that were left out as copies.
            settings: The ingest step's settings.
        """
        cut = Cut.of(sizes, settings.shard_bytes)
        return cls(sorted(stored), cut, cut.count(sizes), sorted(unstored))

    @property
    def total(self) -> int:
        """Number of groups."""
        return len(self.stored) + self.chunks + len(self.unstored)

    def chunks_of(
        self, rows: Sequence[Row], ordinals: Sequence[int], sizes: Sequence[int], before: int
    ) -> list[Chunk]:
        """New rows as chunks, or parts of them.

        Args:
            rows: The rows.
            ordinals: Their places among all rows.
            sizes: Bytes that they count as.
            before: Bytes of the new rows before them.
        """
        return cut_rows(rows, ordinals, sizes, self.cut, before, len(self.stored), self.total)


@dataclasses.dataclass(frozen=True)
class KnownRow:
    """A row that an earlier run has read.

    Attributes:
        match: Which entry is its.
        text: The row as JSON.
        row: The row, where the entry's records are not this row's; it may have to be read again.
    """

    match: Match
    text: bytes
    row: Row | None


def known_row(match: Match, row: Row) -> KnownRow:
    """What is needed of a row that an earlier run has read."""
    return KnownRow(match, row_as_json(row), None if match.is_stored else row)


def known_groups(
    path: str, part: int, rows: Iterable[KnownRow], numbers: Numbers, folder: Path
) -> list[Group]:
    """The groups of a part of an earlier index: that of its shards, and that of known copies.

    Args:
        path: The part's path or URI.
        part: Its number.
        rows: The rows that it knows.
        numbers: The numbers of all groups.
        folder: Where the groups' entries are written.
    """
    by_place: dict[int, KnownRow] = {}
    copies: list[KnownRow] = []
    for known in sorted(rows, key=lambda each: each.match.ordinal):
        if known.row is None:
            by_place[known.match.place] = known
        else:
            copies.append(known)
    groups = []
    index = read_part(path)
    if part in numbers.stored:
        number = numbers.stored.index(part)
        is_kept = index.entries.column("kept").to_pylist()
        places = [place for place, kept in enumerate(is_kept) if kept]
        own = [by_place.get(place) for place in places]
        entries = folder / numbered("entries", number, numbers.total, "parquet")
        _write_entries(entries, index.entries, places, own)
        shards, digests = dict(index.shards), dict(index.digests)
        groups.append(Group(number, numbers.total, str(entries), shards, digests))
    if copies:
        number = len(numbers.stored) + numbers.chunks + numbers.unstored.index(part)
        entries = folder / numbered("entries", number, numbers.total, "parquet")
        _write_entries(entries, index.entries, [known.match.place for known in copies], copies)
        unstored = tuple(known.row for known in copies if known.row is not None)
        groups.append(Group(number, numbers.total, str(entries), {}, {}, unstored=unstored))
    return groups


def _write_entries(
    file: Path, known: "pa.Table", places: Sequence[int], rows: Sequence[KnownRow | None]
) -> None:
    """Writes some entries of an earlier index with the ordinals that their rows have now."""
    import pyarrow as pa

    table = known.select(entry_schema().names).take(pa.array(places, pa.int64()))
    ordinals = [GONE if row is None else row.match.ordinal for row in rows]
    table = table.set_column(0, entry_schema().field(0), pa.array(ordinals, pa.int64()))
    shown = [b"" if row is None else row.text for row in rows]
    write_table(table.append_column("row", pa.array(shown, pa.binary())), file)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done for all rows.

    Attributes:
        known: Groups of an earlier run: those whose shards are there, and those of copies.
        chunks: New rows, to be read.
    """

    known: list[Group]
    chunks: list[Chunk]


def plan_groups(
    rows: Sequence[Row], previous: Index, settings: IngestSettings, folder: Path
) -> Plan:
    """Finds which rows an earlier run has read, and divides the others.

    Args:
        rows: All rows of the input.
        previous: The earlier run's index, or `NOTHING`.
        settings: The ingest step's settings.
        folder: Where the entries of known groups are written.
    """
    marks = [mark for part, path in enumerate(previous) for mark in known_marks(path, part)]
    matches = list(find_matches(row_marks(rows, range(len(rows))), marks)) if marks else []
    known: Mapping[int, list[KnownRow]] = defaultdict(list)
    for match in matches:
        known[match.part].append(known_row(match, rows[match.ordinal]))
    seen = {match.ordinal for match in matches}
    new = [ordinal for ordinal in range(len(rows)) if ordinal not in seen]
    new_sizes, sizes = [size_of(rows[ordinal]) for ordinal in new], Sizes()
    sizes.add(new_sizes)
    stored = [part for part, path in enumerate(previous) if read_facts(path)["shards"]]
    unstored = {match.part for match in matches if not match.is_stored}
    numbers = Numbers.of(sizes, stored, unstored, settings)
    groups = [
        group
        for part, path in enumerate(previous)
        for group in known_groups(path, part, known[part], numbers, folder)
    ]
    chunks = numbers.chunks_of([rows[ordinal] for ordinal in new], new, new_sizes, 0)
    return Plan(groups, chunks)
