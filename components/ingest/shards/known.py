"""Which rows an earlier run has read: its index joined with the rows, by their fingerprints."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from components.ingest.shards.chunk import fingerprint
from components.ingest.shards.index import read_marks
from components.ingest.sources.rows import Row


class RowMark(NamedTuple):
    """The fingerprint of a row, and the row's place among all rows."""

    mark: bytes
    ordinal: int


class KnownMark(NamedTuple):
    """The fingerprint of an entry, and where it is.

    Attributes:
        mark: The fingerprint.
        is_kept: Whether its records are stored.
        part: The number of its part of the index.
        place: Its place in that part.
    """

    mark: bytes
    is_kept: bool
    part: int
    place: int


@dataclasses.dataclass(frozen=True)
class Match:
    """A row that an earlier run has read.

    Attributes:
        ordinal: The row's.
        part: The part of the index with its entry.
        place: The entry's place in it.
        is_stored: Whether the entry's records are this row's; else it is a copy of theirs.
    """

    ordinal: int
    part: int
    place: int
    is_stored: bool


def row_marks(rows: Sequence[Row], ordinals: Sequence[int]) -> Iterator[RowMark]:
    """The fingerprints of rows; one whose file tells no time has none."""
    for row, ordinal in zip(rows, ordinals, strict=True):
        if mark := fingerprint(row):
            yield RowMark(bytes.fromhex(mark), ordinal)


def known_marks(path: str, part: int) -> Iterator[KnownMark]:
    """The fingerprints of the entries in a part of an index.

    Args:
        path: The part's path or URI.
        part: Its number.
    """
    for place, (mark, is_kept) in enumerate(read_marks(path)):
        if mark is not None:
            yield KnownMark(mark, is_kept, part, place)


def find_matches(rows: Iterable[RowMark], known: Iterable[KnownMark]) -> Iterator[Match]:
    """Finds rows that an earlier run has read.

    Args:
        rows: Of rows; all that are equal are among them.
        known: Of entries, likewise.

    Yields:
        The matches, in the order of the rows.
    """
    # What is stored counts before what is not; of several, the last.
    owners = {each.mark: each for each in sorted(known, key=lambda each: each[1:])}
    taken: set[bytes] = set()
    for mark, ordinal in sorted(rows, key=lambda each: each.ordinal):
        owner = owners.get(mark)
        if owner is not None:
            # A row is in one shard; another of the same fingerprint is a copy that is not stored.
            yield Match(ordinal, owner.part, owner.place, owner.is_kept and mark not in taken)
            taken.add(mark)
