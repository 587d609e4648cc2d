"""Duplicates, found by content digests and perceptual hashes, and never left in two splits.

Each rule here is decided over tables of photographs that are complete for it: all of one content
digest, all of one perceptual hash, or all that some are compared with. So it is the same rule
whether one process holds all photographs, or workers hold a part each.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.settings import IngestSettings
from components.ingest.splits.compared import HASHES, Compared
from components.ingest.splits.copy import Copy, rows_of
from components.ingest.splits.hamming import HASH_BITS, Nearest, nearest_to, nearest_within
from components.ingest.splits.pseudo_labels import (
    beside_equal_files,
    beside_equal_pictures,
    of_groups_held_out,
    with_a_say,
)
from components.ingest.splits.sightings import (
    Places,
    digest_heads,
    image_ids,
    is_any_of,
    ordinals,
    perceptual_hashes,
    repeated,
)
from darkroom.artifacts.rejected import Reason

_PARTS_ARE_NEARER = 2
_BITS_OF_A_PICTURE = (24, 40)
"""Of a blank image nearly all bits are the same: fewest and most that a picture's hash has."""

FACTS = (
    *("ordinal", "image_id", "perceptual_hash", "label", "labels", "tile_values"),
    *("split", "pseudo_labelled"),
)
"""Columns that tell equal photographs; hashes of what copies may be are many times as much."""

_CONFLICTING = (
    *("ordinal", "perceptual_hash", "label", "tile_values", "split", "pseudo_labelled"),
)
_MOST_AT_ONCE = 4_000_000
"""Photographs all of whose hashes are held at once, some 160 bytes each."""

LEAKS = (("valid", ("test",)), ("train", ("valid", "test")))
"""Which split's photographs are compared with which others', in this order: test never moves."""


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Which photographs are copies, by the ordinal of their row.

    Attributes:
        dropped: Those that are not kept, and why.
        merged_labels: Labels of those that are kept with the labels of all their copies, sorted.
    """

    dropped: dict[int, Copy]
    merged_labels: dict[int, tuple[str, ...]]


class Sightings(Protocol):
    """All photographs that could be decoded, which need not all be held at once."""

    def facts(self) -> pa.Table:
        """All of them, in the order of their rows, with the columns `FACTS`."""

    def in_splits(self, splits: Sequence[str]) -> Iterator[pa.Table]:
        """Those of some splits with the columns `COMPARED`, in small tables; at least one."""


def find_copies(sightings: Sightings, settings: IngestSettings) -> Duplicates:
    """Decides which photographs are not kept, where one process decides of them all.

    A photograph whose label a model gave has no say beside others: see `pseudo_labels`. Of
    byte-identical photographs with one label the first is kept; with several labels none, or
    the first with them all; of those with equal perceptual hashes and several labels none. Of what
    is left, a photograph in train that nearly equals one in valid or test is not kept, nor is one
    in valid that nearly equals one in test, so that the test split never moves.

    Args:
        sightings: All photographs.
        settings: What to do with duplicates, and how near is too near.
    """
    facts = sightings.facts()
    found = find_identical(facts, settings)
    copies, merged_labels = found.dropped, found.merged_labels
    if finds_conflicts(settings):
        copies |= find_conflicts(without(facts.select(_CONFLICTING), rows_of(copies)))
    del facts
    if finds_leaks(settings):
        copies = _with_leaks(copies, sightings, settings)
    return Duplicates(
        copies, {place: labels for place, labels in merged_labels.items() if place not in copies}
    )


def finds_conflicts(settings: IngestSettings) -> bool:
    """Whether photographs of equal perceptual hashes may have but one label."""
    return settings.near_duplicate_distance >= 0 and settings.conflicting_labels == "reject"


def finds_leaks(settings: IngestSettings) -> bool:
    """Whether splits are compared: for near copies, or for groups."""
    return settings.near_duplicate_distance >= 0 or settings.group_by is not None


def _with_leaks(
    copies: dict[int, Copy], sightings: Sightings, settings: IngestSettings
) -> dict[int, Copy]:
    (split, others), (last, _) = LEAKS
    gone = rows_of(copies)
    parts = (without(part, gone) for part in sightings.in_splits((split, *others)))
    stays_put = Compared.of_tables(parts).in_order()
    leaks = find_leaks(stays_put.in_splits((split,)), stays_put.in_splits(others), settings)
    stays = stays_of(stays_put.facts, leaks)
    stays_put = stays_put.without(rows_of(leaks))
    found_last = _leaks_of_many(
        lambda: (without(part, gone) for part in sightings.in_splits((last,))), stays_put, settings
    )
    return settle_twins(copies, stays | found_last.stays) | leaks | found_last.leaks


@dataclasses.dataclass(frozen=True)
class _Leaks:
    """Photographs that go, and by their content digests the digests of those that stay."""

    leaks: dict[int, Copy]
    stays: dict[str, str | None]


def _leaks_of_many(
    tables: Callable[[], Iterator[pa.Table]], theirs: Compared, settings: IngestSettings
) -> _Leaks:
    """What `find_leaks` gives, for more photographs than all hashes of can be held.

    Whole photographs, of few hashes each, are looked up at once; their parts some at a time.
    """
    distance = settings.near_duplicate_distance
    whole = Compared.of_tables((part.select(HASHES) for part in tables()), Compared.WITHOUT_CROPS)
    by_whole = nearest_by_whole(whole, theirs, distance)
    del whole
    found = _Leaks({}, {})
    start, parts = 0, tables()
    for first in parts:
        ours = Compared.of_tables(itertools.chain([first], _as_many_as_fit(parts)))
        nearest = by_whole.part(start, start + len(ours))
        nearest.add(nearest_by_parts(ours, theirs, distance))
        start += len(ours)
        leaks = _as_leaks(ours, theirs, nearest)
        found.leaks.update(leaks)
        found.stays.update(stays_of(ours.facts, leaks))
        del ours  # before the next ones are read
    return found


def _as_many_as_fit(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    rows = 0
    while rows < _MOST_AT_ONCE and (table := next(tables, None)) is not None:
        rows += table.num_rows
        yield table


def without(sightings: pa.Table, gone: Places) -> pa.Table:
    """The photographs whose rows are none of these, which are sorted."""
    return sightings.filter(pa.array(~is_any_of(ordinals(sightings), gone)))


def in_order(sightings: pa.Table) -> pa.Table:
    """The photographs in the order of their rows, in which most come."""
    found = ordinals(sightings)
    return sightings if (found[1:] > found[:-1]).all() else sightings.sort_by("ordinal")


def in_splits(sightings: pa.Table, splits: Sequence[str]) -> pa.Table:
    """The photographs of some splits."""
    return sightings.filter(pc.is_in(sightings.column("split"), pa.array(splits)))


def stays_of(sightings: pa.Table, leaks: Mapping[int, Copy]) -> dict[str, str | None]:
    """Of the photographs that leaked, by content digest, the digest of the one that stays."""
    if not leaks:
        return {}
    places = np.flatnonzero(is_any_of(ordinals(sightings), rows_of(leaks)))
    found = zip(ordinals(sightings)[places].tolist(), image_ids(sightings, places), strict=True)
    return {image_id: leaks[ordinal].twin for ordinal, image_id in found}


def settle_twins(copies: dict[int, Copy], stays: Mapping[str, str | None]) -> dict[int, Copy]:
    """Duplicates of a photograph that goes too, named after the one that stays."""
    return {
        ordinal: dataclasses.replace(copy, twin=stays.get(copy.twin or "", copy.twin))
        for ordinal, copy in copies.items()
    }


def find_conflicts(sightings: pa.Table) -> dict[int, Copy]:
    """Photographs whose perceptual hashes are equal, and whose labels are not.

    Args:
        sightings: Photographs, all that have any of their perceptual hashes.
    """
    hashes = perceptual_hashes(sightings)
    bits = np.bitwise_count(hashes)
    low, high = _BITS_OF_A_PICTURE
    pictures = np.flatnonzero((bits >= low) & (bits <= high))
    alike = sightings.select(_CONFLICTING).take(pa.array(pictures[repeated(hashes[pictures])]))
    found = beside_equal_pictures(alike)
    alike = without(alike, rows_of(found))
    # As columns: a hash may be that of a million photographs.
    told = [(name, "distinct") for name in ("label", "tile_values")]
    groups = alike.group_by("perceptual_hash").aggregate(told).to_pylist()
    conflicts = {
        group["perceptual_hash"]: Copy(Reason.CONFLICTING_LABELS, conflict, None)
        for group in groups
        if (conflict := _conflict(group["label_distinct"], group["tile_values_distinct"]))
    }
    values = pa.array(list(conflicts), pa.uint64())
    members = alike.filter(pc.is_in(alike.column("perceptual_hash"), values))
    columns = (members.column(name).to_pylist() for name in ("ordinal", "perceptual_hash"))
    for ordinal, value in zip(*columns, strict=True):
        found[ordinal] = conflicts[value]
    return found


def find_identical(sightings: pa.Table, settings: IngestSettings) -> Duplicates:
    """Photographs of equal bytes.

    Args:
        sightings: Photographs, all that have any of their content digests.
        settings: What to do with duplicates.
    """
    places = repeated(digest_heads(sightings))
    copies: dict[int, Copy] = {}
    merged_labels: dict[int, tuple[str, ...]] = {}
    for digest, group in _groups(sightings, places, "image_id").items():
        if len(group) == 1:
            continue
        image_id, asked = digest.hex(), with_a_say(group)
        rows = [sighting["ordinal"] for sighting in asked]
        conflict = _conflict(
            {sighting["label"] for sighting in asked},
            {sighting["tile_values"] for sighting in asked},
        )
        if conflict is not None and settings.conflicting_labels == "reject":
            all_rows = [sighting["ordinal"] for sighting in group]
            copies |= dict.fromkeys(all_rows, Copy(Reason.CONFLICTING_LABELS, conflict, None))
            continue
        copies |= beside_equal_files(group, image_id)
        if conflict is not None:
            of_all = sorted({label for sighting in asked for label in sighting["labels"]})
            merged_labels[rows[0]] = tuple(of_all)
            detail = f"the same bytes as image {image_id}, kept with the labels {', '.join(of_all)}"
            copies |= dict.fromkeys(rows[1:], Copy(Reason.DUPLICATE, detail, image_id))
        elif settings.duplicates == "reject":
            detail = f"the same bytes as image {image_id}"
            copies |= dict.fromkeys(rows[1:], Copy(Reason.DUPLICATE, detail, image_id))
    return Duplicates(copies, merged_labels)


def _groups(sightings: pa.Table, places: Places, column: str) -> dict[Any, list[dict[str, Any]]]:
    """Some photographs by what is equal, each group in the order of its rows."""
    taken = sightings.take(pa.array(places))
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for sighting in taken.to_pylist():
        groups[sighting[column]].append(sighting)
    return groups


def _conflict(labels: Collection[str], tile_values: Collection[str]) -> str | None:
    """In which way the labels of one photograph differ, if they do."""
    if len(labels) > 1:
        return f"the same photograph is labelled {', '.join(sorted(labels))}"
    if len(tile_values) > 1:
        return "the same photograph comes with label masks that differ"
    return None


def find_leaks(ours: Compared, theirs: Compared, settings: IngestSettings) -> dict[int, Copy]:
    """Photographs that are nearly others of another split.

    Args:
        ours: The photographs that may go.
        theirs: Those that stay, in the order of their rows.
        settings: How near is too near.
    """
    return _as_leaks(ours, theirs, nearest_copies(ours, theirs, settings.near_duplicate_distance))


def _as_leaks(ours: Compared, theirs: Compared, nearest: Nearest) -> dict[int, Copy]:
    near = np.flatnonzero(nearest.places >= 0)
    places = nearest.places[near]
    twins = image_ids(theirs.facts, places)
    splits = theirs.facts.column("split").take(pa.array(places)).to_pylist()
    rows = ordinals(ours.facts)[near].tolist()
    bits = nearest.bits[near].tolist()
    marked = ours.facts.column("pseudo_labelled").take(pa.array(near)).to_pylist()
    found = {
        ordinal: Copy(
            Reason.PSEUDO_LABEL_HELD_OUT if is_marked else Reason.NEAR_DUPLICATE,
            f"nearly image {twin} in {split} ({distance} of {HASH_BITS} bits)",
            twin,
        )
        for ordinal, twin, split, distance, is_marked in zip(
            rows, twins, splits, bits, marked, strict=True
        )
    }
    return of_groups_held_out(ours.facts, theirs.facts) | found


def nearest_copies(ours: Compared, theirs: Compared, distance: int) -> Nearest:
    """The nearest of some photographs that is a copy of one of others, or that one of it.

    Args:
        ours: Photographs.
        theirs: Others, in the order in which the first of equally near ones is taken.
        distance: Largest number of differing bits; parts of a photograph, of which there are many,
            may differ in two less.

    Returns:
        For each of ours, the place in `theirs`.
    """
    nearest = nearest_by_whole(ours, theirs, distance)
    nearest.add(nearest_by_parts(ours, theirs, distance))
    return nearest


def nearest_by_whole(ours: Compared, theirs: Compared, distance: int) -> Nearest:
    """The nearest of which one of ours, as a whole, is a copy or a part.

    Args:
        ours: Photographs; their crops are not asked for.
        theirs: As in `nearest_copies`.
        distance: Likewise.
    """
    if distance < 0:
        return Nearest(len(ours))
    nearest = nearest_within(ours.whole, theirs.whole[:1], distance)
    nearer = distance - _PARTS_ARE_NEARER
    if nearer >= 0 and theirs.parts:
        nearest.add(nearest_to(ours.plain, theirs.parts, nearer))
    return nearest


def nearest_by_parts(ours: Compared, theirs: Compared, distance: int) -> Nearest:
    """The nearest that is a part of one of ours; see `nearest_by_whole`."""
    nearer = distance - _PARTS_ARE_NEARER
    if nearer < 0 or not ours.parts:
        return Nearest(len(ours))
    return nearest_within(ours.parts, theirs.plain, nearer)
