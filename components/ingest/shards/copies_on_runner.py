"""Which photographs are copies, found by the workers of a Beam runner: `duplicates.find_copies`.

Each rule is decided over tables that are complete for it: equal digests, and equal hashes, are
brought together in partitions; the hashes of the validation and test splits are one file, which
batches of train's photographs are compared with.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa

from components.ingest.settings import IngestSettings
from components.ingest.shards.entry import read_table, write_table
from components.ingest.shards.group import Group
from components.ingest.shards.sightings import present
from components.ingest.splits.compared import Compared
from components.ingest.splits.copy import Copy, rows_of
from components.ingest.splits.duplicates import (
    FACTS,
    LEAKS,
    Duplicates,
    find_conflicts,
    find_identical,
    find_leaks,
    finds_conflicts,
    finds_leaks,
    in_order,
    in_splits,
    stays_of,
    without,
)
from components.ingest.splits.sightings import SIGHTING_COLUMNS
from darkroom.storage.files import exists, written_to

_OTHERS_FILE = "others.parquet"
_PARTITIONS = 64
"""Parts in which equal digests, or equal hashes, are brought together."""
_FEWEST_COMPARED, _MOST_BATCHES = 256, 64
"""Groups whose photographs are compared with the other splits' at once, and how many times at most:
every time, all hashes of the other splits are looked up in those of the batch."""


class FindCopies(beam.PTransform):  # type: ignore[misc]
    """Groups by number to copies by the number of their group; see `duplicates.find_copies`."""

    def __init__(self, settings: IngestSettings, work: str) -> None:
        super().__init__()
        self._settings = settings
        self._work = work

    def expand(self, groups: beam.PCollection) -> beam.PCollection:
        """Takes and gives pairs of a group's number and what belongs to it."""
        settings = self._settings
        identical = (
            groups
            | "Digests" >> beam.FlatMap(_by_digest)
            | "Equal digests" >> beam.GroupByKey()
            | "Identical" >> beam.FlatMap(_identical, settings)
        )
        if not finds_leaks(settings):
            return identical
        found = identical
        if finds_conflicts(settings):
            conflicts = (
                {"group": groups, "copies": identical}
                | "Beside identical ones" >> beam.CoGroupByKey()
                | "Hashes" >> beam.FlatMap(_by_hash)
                | "Equal hashes" >> beam.GroupByKey()
                | "Conflicts" >> beam.FlatMap(_conflicts)
            )
            found = (identical, conflicts) | "Copies so far" >> beam.Flatten()
        left = {"group": groups, "copies": found} | "Beside copies" >> beam.CoGroupByKey()
        valid_leaks = (
            left
            | "Other splits" >> beam.FlatMap(_others)
            | "All others" >> beam.GroupByKey()
            | "Leaks of valid" >> beam.FlatMap(_leaks_of_valid, settings, self._work)
        )
        train_leaks = (
            {
                "left": left | "Train" >> beam.Map(_in_batches),
                "others": valid_leaks | "Others are there" >> beam.FlatMap(_ready),
            }
            | "Train and others" >> beam.CoGroupByKey()
            | "Leaks of train" >> beam.FlatMap(_leaks_of_train, settings, self._work)
        )
        leaks = (
            valid_leaks | "Without signs" >> beam.Filter(_is_leak),
            train_leaks,
        ) | "Leaks" >> beam.Flatten()
        settled = (
            {
                "copies": found | "By twin" >> beam.FlatMap(_by_twin),
                "stays": leaks | "What stays" >> beam.FlatMap(_by_image),
            }
            | "Twins" >> beam.CoGroupByKey()
            | "Settle twins" >> beam.FlatMap(_settled)
        )
        alone = leaks | "Leaks alone" >> beam.Map(_without_stays)
        return (settled, alone) | "All copies" >> beam.Flatten()


@dataclasses.dataclass(frozen=True)
class _Leaks:
    """Leaks of a group, and the digests of the photographs that stay for them.

    Attributes:
        dropped: The leaks by ordinal.
        stays: By the digest of a leak, the digest of the photograph that stays.
    """

    dropped: dict[int, Copy]
    stays: dict[str, str | None]


@dataclasses.dataclass(frozen=True)
class _Ready:
    """The file of the other splits' photographs is there, for so many groups."""

    total: int


def _sightings(group: Group) -> pa.Table:
    table = present(read_table(group.entries, SIGHTING_COLUMNS))
    numbers = pa.array([group.number] * table.num_rows, pa.int32())
    return table.append_column("group", numbers)


def _left(joined: dict[str, Iterable[Any]]) -> tuple[Group, pa.Table]:
    """A group, and its photographs that are no copies so far."""
    (group,) = joined["group"]
    dropped: dict[int, Copy] = {}
    for copies in joined["copies"]:
        dropped |= copies.dropped
    return group, without(_sightings(group), rows_of(dropped))


def _by_digest(pair: tuple[int, Group]) -> Iterator[tuple[int, bytes]]:
    table = _sightings(pair[1])
    digests = table.column("image_id").to_pylist()
    yield from _in_partitions(table.select([*FACTS, "group"]), [digest[0] for digest in digests])


def _by_hash(pair: tuple[int, Any]) -> Iterator[tuple[int, bytes]]:
    _, table = _left(pair[1])
    hashes = table.column("perceptual_hash").to_pylist()
    yield from _in_partitions(table.select([*FACTS, "group"]), [value >> 3 for value in hashes])


def _in_partitions(table: pa.Table, keys: list[int]) -> Iterator[tuple[int, bytes]]:
    places: dict[int, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key % _PARTITIONS, []).append(place)
    for partition, chosen in places.items():
        yield partition, _to_bytes(table.take(pa.array(chosen)))


def _identical(
    pair: tuple[int, Iterable[bytes]], settings: IngestSettings
) -> Iterator[tuple[int, Duplicates]]:
    table = _joined(pair[1])
    yield from _to_groups(table, find_identical(table, settings))


def _conflicts(pair: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, Duplicates]]:
    table = _joined(pair[1])
    yield from _to_groups(table, Duplicates(find_conflicts(table), {}))


def _to_groups(table: pa.Table, found: Duplicates) -> Iterator[tuple[int, Duplicates]]:
    """What was found, by the number of the group that it is about."""
    if not found.dropped and not found.merged_labels:
        return
    columns = (table.column(name).to_pylist() for name in ("ordinal", "group"))
    parts: dict[int, Duplicates] = {}
    for ordinal, group in zip(*columns, strict=True):
        if ordinal in found.dropped or ordinal in found.merged_labels:
            part = parts.setdefault(group, Duplicates({}, {}))
            if ordinal in found.dropped:
                part.dropped[ordinal] = found.dropped[ordinal]
            else:
                part.merged_labels[ordinal] = found.merged_labels[ordinal]
    yield from parts.items()


def _others(pair: tuple[int, Any]) -> Iterator[tuple[int, tuple[int, bytes]]]:
    group, table = _left(pair[1])
    yield 0, (group.total, _to_bytes(in_splits(table, ("valid", "test"))))


def _leaks_of_valid(
    pair: tuple[int, Iterable[tuple[int, bytes]]], settings: IngestSettings, work: str
) -> Iterator[tuple[int, Any]]:
    parts = list(pair[1])
    table = _joined(part for _, part in parts)
    split, others = LEAKS[0]
    compared = Compared.of_tables([table])
    leaks = find_leaks(compared.in_splits((split,)), compared.in_splits(others), settings)
    with written_to(work) as local:
        write_table(without(table, rows_of(leaks)), local / _OTHERS_FILE)
    yield from _leaks_by_group(table, leaks)
    yield 0, _Ready(parts[0][0])


def _leaks_by_group(table: pa.Table, leaks: dict[int, Copy]) -> Iterator[tuple[int, _Leaks]]:
    for group, part in _to_groups(table, Duplicates(leaks, {})):
        yield group, _Leaks(part.dropped, stays_of(table, part.dropped))


def _is_leak(pair: tuple[int, Any]) -> bool:
    return isinstance(pair[1], _Leaks)


def _ready(pair: tuple[int, Any]) -> Iterator[tuple[int, None]]:
    if isinstance(pair[1], _Ready):
        for batch in range(_batch(pair[1].total - 1, pair[1].total) + 1):
            yield batch, None


def _in_batches(pair: tuple[int, Any]) -> tuple[int, Any]:
    joined = {name: list(values) for name, values in pair[1].items()}
    (group,) = joined["group"]
    return _batch(group.number, group.total), joined


def _batch(number: int, total: int) -> int:
    """The batch of a group.

    >>> _batch(300, 1000), _batch(99_999, 100_000)
    (1, 63)
    """
    return number // max(_FEWEST_COMPARED, -(-total // _MOST_BATCHES))


def _leaks_of_train(
    pair: tuple[int, Any], settings: IngestSettings, work: str
) -> Iterator[tuple[int, _Leaks]]:
    others = f"{work}/{_OTHERS_FILE}"
    split, _ = LEAKS[1]
    tables = [in_splits(_left(joined)[1], (split,)) for joined in pair[1]["left"]]
    if tables and exists(others):
        ours = Compared.of_tables(tables)
        theirs = Compared.of_tables([read_table(others)])
        yield from _leaks_by_group(ours.facts, find_leaks(ours, theirs, settings))


def _without_stays(pair: tuple[int, _Leaks]) -> tuple[int, Duplicates]:
    return pair[0], Duplicates(pair[1].dropped, {})


def _by_twin(pair: tuple[int, Duplicates]) -> Iterator[tuple[str, tuple[int, Duplicates]]]:
    """What was found so far, a part for each photograph that is kept in the place of others."""
    group, found = pair
    parts: dict[str, Duplicates] = {}
    alone = f"group {group}"  # of conflicts none is kept; spread, they make no hot key
    for ordinal, copy in found.dropped.items():
        parts.setdefault(copy.twin or alone, Duplicates({}, {})).dropped[ordinal] = copy
    if found.merged_labels:
        parts.setdefault(alone, Duplicates({}, {})).merged_labels.update(found.merged_labels)
    for twin, part in parts.items():
        yield twin, (group, part)


def _by_image(pair: tuple[int, _Leaks]) -> Iterator[tuple[str, str | None]]:
    yield from pair[1].stays.items()


def _settled(pair: tuple[str, Any]) -> Iterator[tuple[int, Duplicates]]:
    joined = pair[1]
    stays = list(joined["stays"])
    for group, part in joined["copies"]:
        if stays:
            for ordinal, copy in part.dropped.items():
                part.dropped[ordinal] = dataclasses.replace(copy, twin=stays[0])
        yield group, part


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _joined(parts: Iterable[bytes]) -> pa.Table:
    """Tables as one, in the order of their rows."""
    tables = [pa.ipc.open_stream(part).read_all() for part in parts]
    return in_order(pa.concat_tables(tables))
