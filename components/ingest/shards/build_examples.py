"""Builds the examples: new photographs are read, known ones are kept, copies are rejected."""

import dataclasses
import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, Entry, fingerprint, shard_name
from components.ingest.shards.chunks import chunks_of
from components.ingest.shards.finalize import Group, Shard, as_labelled, finalize_shards
from components.ingest.shards.index import Index, write_index
from components.ingest.shards.write import write_shards
from components.ingest.sources.rows import Row
from components.ingest.splits.duplicates import Copy, Duplicates, HashedImage, find_copies
from darkroom.artifacts.examples import SPLITS, examples_digest
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.artifacts.tiles import TILE_COLUMNS


def examples_manifest(
    folder: Path,
    data: str,
    columns: Mapping[str, str],
    entries: Sequence[Entry],
    rejections: Sequence[Rejection],
    settings: IngestSettings,
) -> dict[str, Any]:
    """The content of the manifest.

    Args:
        folder: Where the examples stand, whole.
        data: Where the rows came from.
        columns: Type by name of the extra columns.
        entries: The examples.
        rejections: The refused rows.
        settings: The ingest step's settings.
    """
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry.split] += entry.examples
    return {
        "labels": labels_of(entries, settings),
        "multi_label": any(entry.labels for entry in entries),
        "counts": {split: counts[split] for split in SPLITS},
        "columns": {**columns, **(TILE_COLUMNS if settings.tiles else {})},
        "rejected": dict(Counter(rejection.reason for rejection in rejections)),
        "data": data,
        "settings": settings.model_dump(mode="json"),
        "digest": examples_digest(folder),
    }


def labels_of(entries: Sequence[Entry], settings: IngestSettings) -> list[str]:
    """The one sorted label list, from which every later step takes a label's index."""
    if settings.labels is not None:
        return sorted(set(settings.labels))
    return sorted({label for entry in entries for label in entry.labels or (entry.label,)})


WriteShards = Callable[[Sequence[Chunk], Path, IngestSettings], Iterator[list[Entry | Rejection]]]
"""Writes chunks' shards into a folder, and yields what became of each chunk's rows."""


@dataclasses.dataclass(frozen=True)
class BuiltExamples:
    """What became of all rows.

    Attributes:
        entries: The photographs that are kept, with the labels of their examples, in the order of
            their rows.
        rejections: The refused rows.
        read: Number of photographs that were opened, read and decoded.
    """

    entries: list[Entry]
    rejections: list[Rejection]
    read: int


def build_examples(
    rows: Sequence[Row],
    previous: Index,
    settings: IngestSettings,
    folder: Path,
    write: WriteShards = write_shards,
) -> BuiltExamples:
    """Writes the shards and the index of an examples artifact.

    Args:
        rows: All rows of the input.
        previous: What an earlier run left, or `NOTHING`.
        settings: The ingest step's settings.
        folder: The artifact being written.
        write: Writes the shards of what is new.

    Returns:
        What became of all rows.
    """
    known = _known_rows(rows, previous)
    outcomes: dict[int, Entry | Rejection] = {}
    groups = _previous_shards(previous, known)
    for entry, places in known.values():
        outcomes |= dict.fromkeys(places, entry)
    new = [place for place in range(len(rows)) if place not in outcomes]
    groups += _write(rows, new, settings, folder / "new", write, outcomes)
    copies = _copies(outcomes, settings)
    stored = {row for group in groups for shard in group.values() for row in shard.rows}
    revived = [
        place
        for place, outcome in outcomes.items()
        if isinstance(outcome, Entry) and place not in copies.dropped and place not in stored
    ]
    groups += _write(rows, revived, settings, folder / "revived", write, outcomes)
    settled = finalize_shards(groups, copies, settings, folder)
    for name in ("new", "revived"):
        shutil.rmtree(folder / name, ignore_errors=True)
    dropped = [outcomes[place] for place in sorted(copies.dropped)]
    write_index(folder, settled, [entry for entry in dropped if isinstance(entry, Entry)])
    opened = [place for place in (*new, *revived) if _was_opened(outcomes[place])]
    return _assembled(rows, outcomes, copies, settings, read=len(opened))


def _was_opened(outcome: Entry | Rejection) -> bool:
    return isinstance(outcome, Entry) or outcome.reason not in _NOT_OPENED


_NOT_OPENED = frozenset({Reason.MISSING_FILE, Reason.UNREADABLE_FILE})

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


def _previous_shards(previous: Index, known: Known) -> list[Group]:
    groups: dict[str, Group] = {}
    for name, entries in previous.shards.items():
        assert previous.folder is not None
        split, number, *_ = name.split("-")
        rows = [_first(known[e.fingerprint][1]) if e.fingerprint else None for e in entries]
        groups.setdefault(number, {})[split] = Shard(previous.folder / name, entries, rows)
    return [groups[number] for number in sorted(groups)]


def _first(places: Sequence[int]) -> int | None:
    return places[0] if places else None


def _write(
    rows: Sequence[Row],
    places: Sequence[int],
    settings: IngestSettings,
    into: Path,
    write: WriteShards,
    outcomes: dict[int, Entry | Rejection],
) -> list[Group]:
    """Writes rows in chunks, in a folder of their own; notes what became of them."""
    if not places:
        return []
    chunks = chunks_of([rows[place] for place in places], settings)
    into.mkdir()
    groups = []
    left = iter(places)
    for chunk, results in zip(chunks, write(chunks, into, settings), strict=True):
        part = itertools.islice(left, len(chunk.rows))
        pairs = list(zip(part, results, strict=True))
        outcomes |= dict(pairs)
        groups.append({split: _new_shard(into, chunk, split, pairs) for split in SPLITS})
    return groups


def _new_shard(
    folder: Path, chunk: Chunk, split: str, pairs: Sequence[tuple[int, Entry | Rejection]]
) -> Shard:
    held = [(p, e) for p, e in pairs if isinstance(e, Entry) and e.split == split]
    path = folder / shard_name(split, chunk)
    return Shard(path, [entry for _, entry in held], [place for place, _ in held])


def _copies(outcomes: dict[int, Entry | Rejection], settings: IngestSettings) -> Duplicates:
    """Which rows are copies, by place, whatever order the rows were read in."""
    entries = [(p, o) for p, o in sorted(outcomes.items()) if isinstance(o, Entry)]
    sightings = [
        HashedImage(
            e.image_id,
            int(e.perceptual_hash, 16),
            e.label,
            e.split,
            e.labels,
            e.tile_values,
            bytes.fromhex(e.copy_hashes),
        )
        for _, e in entries
    ]
    found = find_copies(sightings, settings)
    return Duplicates(
        {entries[index][0]: copy for index, copy in found.dropped.items()},
        {entries[index][0]: labels for index, labels in found.merged_labels.items()},
    )


def _assembled(
    rows: Sequence[Row],
    outcomes: dict[int, Entry | Rejection],
    copies: Duplicates,
    settings: IngestSettings,
    read: int,
) -> BuiltExamples:
    entries: list[Entry] = []
    rejections: list[Rejection] = []
    for place, outcome in sorted(outcomes.items()):
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        elif place in copies.dropped:
            rejections.append(_rejection(rows[place], copies.dropped[place]))
        else:
            entries.append(as_labelled(outcome, copies.merged_labels.get(place, ()), settings))
    return BuiltExamples(entries, rejections, read)


def _rejection(row: Row, copy: Copy) -> Rejection:
    fields = {"image": row.image, "location": row.location, "label": row.label, **row.columns}
    return Rejection(fields, copy.reason, copy.detail, copy.twin)
