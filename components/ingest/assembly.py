"""The examples put together: what is new is read, what is known is kept, what is a copy goes."""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from components.artifacts.examples import SPLITS
from components.ingest.chunk import Chunk, Entry, fingerprint, shard_name
from components.ingest.duplicates import Copy, Sighting, find_copies
from components.ingest.index import Index, write_index
from components.ingest.rejection import Rejection
from components.ingest.rows import Row
from components.ingest.settings import IngestSettings
from components.ingest.shards import drop_records, write_shards

ROWS_A_CHUNK = 512
"""Large enough that a shard is some 10 MB, small enough to keep all workers busy."""


@dataclasses.dataclass(frozen=True)
class Assembled:
    """What became of all rows.

    Attributes:
        entries: The examples, in the order of their rows.
        rejections: The refused rows.
        read: Number of photographs that were read and decoded.
    """

    entries: list[Entry]
    rejections: list[Rejection]
    read: int


@dataclasses.dataclass
class _Shard:
    """A shard file on its way into the artifact.

    Attributes:
        path: Where it lies now.
        entries: What its records are, in order.
        rows: The rows of its records; None for a row that is gone.
    """

    path: Path
    entries: Sequence[Entry]
    rows: list[int | None]


def assemble(
    rows: Sequence[Row], previous: Index, settings: IngestSettings, folder: Path
) -> Assembled:
    """Writes the shards and the index of an examples artifact.

    Args:
        rows: All rows of the input.
        previous: What an earlier run left, or `NOTHING`.
        settings: The ingest step's settings.
        folder: The artifact being written.

    Returns:
        What became of all rows.
    """
    known = _known_rows(rows, previous)
    outcomes: dict[int, Entry | Rejection] = {}
    groups = _previous_shards(previous, known)
    for entry, places in known.values():
        outcomes |= dict.fromkeys(places, entry)
    new = [place for place in range(len(rows)) if place not in outcomes]
    groups += _write(rows, new, settings, folder, "new", outcomes)
    copies = _copies(outcomes, settings)
    stored = {row for group in groups for shard in group.values() for row in shard.rows}
    revived = [
        place
        for place, outcome in outcomes.items()
        if isinstance(outcome, Entry) and place not in copies and place not in stored
    ]
    groups += _write(rows, revived, settings, folder, "revived", outcomes)
    _settle(groups, copies, folder, outcomes)
    return _assembled(rows, outcomes, copies, read=len(new) + len(revived))


Known = dict[str, tuple[Entry, list[int]]]


def _known_rows(rows: Sequence[Row], previous: Index) -> Known:
    """Entries of an earlier run by fingerprint, with the places of the rows that still have it."""
    entries = [entry for shard in previous.shards.values() for entry in shard]
    known: Known = {e.fingerprint: (e, []) for e in [*previous.copies, *entries] if e.fingerprint}
    if known:
        for place, row in enumerate(rows):
            mark = fingerprint(row)
            if mark in known:
                known[mark][1].append(place)
    return known


Group = dict[str, _Shard]
"""The shards of one chunk by split."""


def _previous_shards(previous: Index, known: Known) -> list[Group]:
    groups: dict[str, Group] = {}
    for name, entries in previous.shards.items():
        assert previous.folder is not None
        split, number, *_ = name.split("-")
        rows = [_first(known[e.fingerprint][1]) if e.fingerprint else None for e in entries]
        groups.setdefault(number, {})[split] = _Shard(previous.folder / name, entries, rows)
    return [groups[number] for number in sorted(groups)]


def _first(places: Sequence[int]) -> int | None:
    return places[0] if places else None


def _write(
    rows: Sequence[Row],
    places: Sequence[int],
    settings: IngestSettings,
    folder: Path,
    name: str,
    outcomes: dict[int, Entry | Rejection],
) -> list[Group]:
    """Writes rows in chunks, in a folder of their own; notes what became of them."""
    if not places:
        return []
    parts = [places[at : at + ROWS_A_CHUNK] for at in range(0, len(places), ROWS_A_CHUNK)]
    chunks = [
        Chunk(number, len(parts), [rows[place] for place in part])
        for number, part in enumerate(parts)
    ]
    into = folder / name
    into.mkdir()
    groups = []
    written = write_shards(chunks, into, settings)
    for chunk, part, results in zip(chunks, parts, written, strict=True):
        pairs = list(zip(part, results, strict=True))
        outcomes |= dict(pairs)
        groups.append({split: _new_shard(into, chunk, split, pairs) for split in SPLITS})
    return groups


def _new_shard(
    folder: Path, chunk: Chunk, split: str, pairs: Sequence[tuple[int, Entry | Rejection]]
) -> _Shard:
    held = [(p, e) for p, e in pairs if isinstance(e, Entry) and e.split == split]
    path = folder / shard_name(split, chunk)
    return _Shard(path, [entry for _, entry in held], [place for place, _ in held])


def _copies(outcomes: dict[int, Entry | Rejection], settings: IngestSettings) -> dict[int, Copy]:
    """Which rows are copies, by place, whatever order the rows were read in."""
    entries = [(p, o) for p, o in sorted(outcomes.items()) if isinstance(o, Entry)]
    sightings = [
        Sighting(e.image_id, int(e.perceptual_hash, 16), e.label, e.split) for _, e in entries
    ]
    found = find_copies(sightings, settings)
    return {entries[index][0]: copy for index, copy in found.items()}


def _settle(
    groups: Sequence[Group],
    copies: dict[int, Copy],
    folder: Path,
    outcomes: dict[int, Entry | Rejection],
) -> None:
    """Brings every shard to its place and name, without the records that go; writes the index."""
    index: dict[str, list[Entry]] = {}
    for number, group in enumerate(groups):
        chunk = Chunk(number, len(groups), [])
        for split, shard in group.items():
            target = folder / shard_name(split, chunk)
            gone = {place for place, row in enumerate(shard.rows) if row is None or row in copies}
            _place(shard.path, target)
            if gone:
                drop_records(target, gone)
            index[target.name] = [e for at, e in enumerate(shard.entries) if at not in gone]
    for name in ("new", "revived"):
        shutil.rmtree(folder / name, ignore_errors=True)
    dropped = [outcomes[place] for place in sorted(copies)]
    write_index(folder, index, [entry for entry in dropped if isinstance(entry, Entry)])


def _place(source: Path, target: Path) -> None:
    """Links a shard, so that what did not change costs no copying; copies where it cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _assembled(
    rows: Sequence[Row],
    outcomes: dict[int, Entry | Rejection],
    copies: dict[int, Copy],
    read: int,
) -> Assembled:
    entries: list[Entry] = []
    rejections: list[Rejection] = []
    for place, outcome in sorted(outcomes.items()):
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        elif place in copies:
            rejections.append(_rejection(rows[place], copies[place]))
        else:
            entries.append(outcome)
    return Assembled(entries, rejections, read)


def _rejection(row: Row, copy: Copy) -> Rejection:
    fields = {"image": row.image, "location": row.location, "label": row.label, **row.columns}
    return Rejection(fields, copy.reason, copy.detail, copy.twin)
