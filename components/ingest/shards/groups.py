"""All rows as groups: those of an earlier run's shards, new ones, and copies known before."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, fingerprint, row_as_json
from components.ingest.shards.chunks import chunks_of
from components.ingest.shards.entry import GONE, entry_schema, write_table
from components.ingest.shards.group import Group, numbered
from components.ingest.shards.index import Index, read_part
from components.ingest.sources.rows import Row

_UNSTORED_A_GROUP = 512


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done for all rows.

    Attributes:
        known: Groups of an earlier run, whose shards are there.
        chunks: New rows, to be read.
        unstored: Groups of rows that were left out as copies in the earlier run.
    """

    known: list[Group]
    chunks: list[Chunk]
    unstored: list[Group]


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
    if not previous:
        return Plan([], chunks_of(rows, settings), [])
    marks: dict[bytes, list[int]] = {}
    for ordinal, row in enumerate(rows):
        if mark := fingerprint(row):
            marks.setdefault(bytes.fromhex(mark), []).append(ordinal)
    drafts = list(_drafts(previous, marks))
    # A row is in one shard; another of the same fingerprint is a copy that was not stored.
    left = [(ordinal, draft, place) for draft in drafts for place, ordinal in draft.others]
    left.sort()
    spared = [left[n : n + _UNSTORED_A_GROUP] for n in range(0, len(left), _UNSTORED_A_GROUP)]
    stored = [draft for draft in drafts if draft.shards]
    seen = {ordinal for draft in stored for ordinal in draft.ordinals} | {each[0] for each in left}
    new = [ordinal for ordinal in range(len(rows)) if ordinal not in seen]
    chunks = chunks_of([rows[o] for o in new], settings, new, len(stored), len(spared))
    total = len(stored) + len(chunks) + len(spared)
    known = [draft.group(number, total, rows, folder) for number, draft in enumerate(stored)]
    first = len(stored) + len(chunks)
    unstored = [
        _unstored(first + number, total, part, rows, folder) for number, part in enumerate(spared)
    ]
    return Plan(known, chunks, unstored)


@dataclasses.dataclass
class _Draft:
    """A part of the earlier index, and which rows its entries are now.

    Attributes:
        part: Its file.
        shards: Its shards by split.
        digests: Their digests.
        places: Places of the entries that are stored, in the part.
        ordinals: The row of each of them, or `GONE`.
        others: Place in the part and ordinal of rows that are known but stored nowhere.
    """

    part: str
    shards: dict[str, str]
    digests: dict[str, str]
    places: list[int]
    ordinals: list[int]
    others: list[tuple[int, int]]

    def __lt__(self, other: "_Draft") -> bool:
        return self.part < other.part

    def group(self, number: int, total: int, rows: Sequence[Row], folder: Path) -> Group:
        """The group that it becomes."""
        path = folder / numbered("entries", number, total, "parquet")
        _write_entries(path, [(self, self.places, self.ordinals)], rows)
        return Group(number, total, str(path), self.shards, self.digests)


def _drafts(previous: Index, marks: dict[bytes, list[int]]) -> Iterator[_Draft]:
    parts = [(path, read_part(path)) for path in previous]
    owners: dict[bytes, tuple[int, int]] = {}
    for kept in (False, True):  # what is stored comes last, and so is what counts
        for number, (_, part) in enumerate(parts):
            columns = (part.entries.column(name).to_pylist() for name in ("fingerprint", "kept"))
            for place, (mark, is_kept) in enumerate(zip(*columns, strict=True)):
                if is_kept == kept and mark in marks:
                    owners[mark] = number, place
    for number, (path, part) in enumerate(parts):
        draft = _Draft(path, dict(part.shards), dict(part.digests), [], [], [])
        columns = (part.entries.column(name).to_pylist() for name in ("fingerprint", "kept"))
        for place, (mark, is_kept) in enumerate(zip(*columns, strict=True)):
            ordinals = marks[mark] if owners.get(mark) == (number, place) else []
            if is_kept:
                draft.places.append(place)
                draft.ordinals.append(ordinals[0] if ordinals else GONE)
                ordinals = ordinals[1:]
            draft.others += [(place, ordinal) for ordinal in ordinals]
        yield draft


def _unstored(
    number: int,
    total: int,
    part: Sequence[tuple[int, _Draft, int]],
    rows: Sequence[Row],
    folder: Path,
) -> Group:
    path = folder / numbered("entries", number, total, "parquet")
    _write_entries(path, [(draft, [place], [ordinal]) for ordinal, draft, place in part], rows)
    unstored = tuple(rows[ordinal] for ordinal, _, _ in part)
    return Group(number, total, str(path), {}, {}, unstored=unstored)


def _write_entries(
    path: Path, taken: Sequence[tuple[_Draft, Sequence[int], Sequence[int]]], rows: Sequence[Row]
) -> None:
    """Writes entries of an earlier index with the ordinals that their rows have now."""
    import pyarrow as pa

    tables = []
    entries: dict[str, pa.Table] = {}
    for draft, places, ordinals in taken:
        if draft.part not in entries:
            entries[draft.part] = read_part(draft.part).entries.select(entry_schema().names)
        table = entries[draft.part].take(pa.array(places, pa.int64()))
        table = table.set_column(0, entry_schema().field(0), pa.array(ordinals, pa.int64()))
        shown = [b"" if ordinal == GONE else row_as_json(rows[ordinal]) for ordinal in ordinals]
        tables.append(table.append_column("row", pa.array(shown, pa.binary())))
    write_table(pa.concat_tables(tables), path)
