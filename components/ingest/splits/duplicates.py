"""Duplicates, found by content digests and perceptual hashes, and never left in two splits.

Each rule here is decided over tables of photographs that are complete for it: all of one content
digest, all of one perceptual hash, or all that some are compared with. So it is the same rule
whether one process holds all photographs, or workers hold a part each.
"""

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.settings import IngestSettings
from components.ingest.splits.sightings import (
    Hashes,
    Places,
    digest_heads,
    hashes_of_copies,
    image_ids,
    ordinals,
    perceptual_hashes,
    repeated,
)
from darkroom.artifacts.rejected import Reason

HASH_BITS = 64
_PAIRS_AT_ONCE = 1 << 22
_OTHERS_AT_ONCE = 1 << 23
_PARTS_ARE_NEARER = 2
_BITS_OF_A_PICTURE = (24, 40)
"""Of a blank image nearly all bits are the same: fewest and most that a picture's hash has."""

FACTS = ("ordinal", "image_id", "perceptual_hash", "label", "labels", "tile_values")
"""Columns that tell equal photographs; hashes of what copies may be are many times as much."""

_CONFLICTING = ("ordinal", "perceptual_hash", "label", "tile_values")
COMPARED = ("ordinal", "image_id", "perceptual_hash", "copy_hashes", "split")
"""Columns that tell near copies."""

LEAKS = (("valid", ("test",)), ("train", ("valid", "test")))
"""Which split's photographs are compared with which others', in this order: test never moves."""


@dataclasses.dataclass(frozen=True)
class Copy:
    """Why a photograph is not kept.

    Attributes:
        reason: `duplicate`, `near_duplicate` or `conflicting_labels`.
        detail: One line for people.
        twin: `image_id` of the photograph that is kept in its place, if one is.
    """

    reason: Reason
    detail: str
    twin: str | None


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
        """Those of some splits with the columns `COMPARED`, in tables of bounded size."""


def find_copies(sightings: Sightings, settings: IngestSettings) -> Duplicates:
    """Decides which photographs are not kept, where one process decides of them all.

    Of byte-identical photographs with one label the first is kept; with several labels none, or
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
    if settings.near_duplicate_distance >= 0:
        if settings.conflicting_labels == "reject":
            copies |= find_conflicts(without(facts.select(_CONFLICTING), copies))
        del facts
        copies = _with_leaks(copies, sightings, settings)
    return Duplicates(
        copies, {place: labels for place, labels in merged_labels.items() if place not in copies}
    )


def _with_leaks(
    copies: dict[int, Copy], sightings: Sightings, settings: IngestSettings
) -> dict[int, Copy]:
    (split, others), (last, _) = LEAKS
    parts = [without(part, copies) for part in sightings.in_splits((split, *others))]
    stays_put = in_order(pa.concat_tables(parts))
    del parts
    leaks = find_leaks(in_splits(stays_put, (split,)), in_splits(stays_put, others), settings)
    stays = stays_of(stays_put, leaks)
    stays_put = without(stays_put, leaks)
    for part in sightings.in_splits((last,)):
        ours = without(part, copies)
        del part
        found_here = find_leaks(ours, stays_put, settings)
        stays |= stays_of(ours, found_here)
        leaks |= found_here
    return settle_twins(copies, stays) | leaks


def without(sightings: pa.Table, copies: Mapping[int, Copy]) -> pa.Table:
    """The photographs that are none of these copies."""
    if not copies:
        return sightings
    gone = np.isin(ordinals(sightings), np.fromiter(copies, np.int64, len(copies)))
    return sightings.filter(pa.array(~gone))


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
    gone = np.isin(ordinals(sightings), np.fromiter(leaks, np.int64, len(leaks)))
    places = np.flatnonzero(gone)
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
    groups = _groups(sightings, pictures[repeated(hashes[pictures])], "perceptual_hash")
    found: dict[int, Copy] = {}
    for group in groups.values():
        if conflict := _conflict(group):
            copy = Copy(Reason.CONFLICTING_LABELS, conflict, None)
            found |= {sighting["ordinal"]: copy for sighting in group}
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
        image_id, rows = digest.hex(), [sighting["ordinal"] for sighting in group]
        conflict = _conflict(group)
        if conflict is not None and settings.conflicting_labels == "reject":
            copies |= dict.fromkeys(rows, Copy(Reason.CONFLICTING_LABELS, conflict, None))
        elif conflict is not None:
            of_all = sorted({label for sighting in group for label in sighting["labels"]})
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


def _conflict(copies: Sequence[Mapping[str, Any]]) -> str | None:
    """In which way the labels of one photograph differ, if they do."""
    labels = sorted({sighting["label"] for sighting in copies})
    if len(labels) > 1:
        return f"the same photograph is labelled {', '.join(labels)}"
    if len({sighting["tile_values"] for sighting in copies}) > 1:
        return "the same photograph comes with label masks that differ"
    return None


def find_leaks(ours: pa.Table, theirs: pa.Table, settings: IngestSettings) -> dict[int, Copy]:
    """Photographs that are nearly others of another split.

    Args:
        ours: The photographs that may go.
        theirs: Those that stay, in the order of their rows.
        settings: How near is too near.
    """
    places, bits = nearest_copies(ours, theirs, settings.near_duplicate_distance)
    near = np.flatnonzero(places >= 0)
    twins = image_ids(theirs, places[near])
    splits = theirs.column("split").take(pa.array(places[near])).to_pylist()
    found = zip(ordinals(ours)[near].tolist(), twins, splits, bits[near].tolist(), strict=True)
    return {
        ordinal: Copy(
            Reason.NEAR_DUPLICATE,
            f"nearly image {twin} in {split} ({distance} of {HASH_BITS} bits)",
            twin,
        )
        for ordinal, twin, split, distance in found
    }


def nearest_copies(ours: pa.Table, theirs: pa.Table, distance: int) -> tuple[Places, Places]:
    """The nearest of some photographs that is a copy of one of others, or that one of it.

    Args:
        ours: Photographs.
        theirs: Others, in the order in which the first of equally near ones is taken.
        distance: Largest number of differing bits; parts of a photograph, of which there are many,
            may differ in two less.

    Returns:
        For each of ours, the place in `theirs` and the number of differing bits, int64 [N] both;
        -1 where there is none.
    """
    asking, known = _hashes(ours), _hashes(theirs)
    nearest = _Nearest(ours.num_rows)
    nearer = distance - _PARTS_ARE_NEARER
    everyone = np.arange(ours.num_rows)
    for queries, others, within in (
        (asking.whole, known.whole[:1], distance),
        (asking.parts, known.plain, nearer),
    ):
        if within >= 0 and queries and len(others[0]):
            nearest.take(everyone, *nearest_within(queries, others, within))
    if nearer >= 0 and known.parts and len(known.parts[0]):
        nearest.take(everyone, *nearest_to(asking.plain, known.parts, nearer))
    return nearest.places, nearest.bits


class _Nearest:
    """The nearest that was found so far for each photograph.

    Attributes:
        places: Which it is, int64 [N]; -1 for none.
        bits: Number of differing bits, int64 [N]; -1 for none.
    """

    def __init__(self, count: int) -> None:
        self.places = np.full(count, -1, np.int64)
        self.bits = np.full(count, -1, np.int64)

    def take(self, queries: Places, places: Places, bits: Places) -> None:
        """Takes what is nearer, or as near and earlier.

        Args:
            queries: Which photographs, each but once.
            places: What is near each of them, or -1.
            bits: Number of differing bits.
        """
        known, known_bits = self.places[queries], self.bits[queries]
        is_nearer = (bits < known_bits) | ((bits == known_bits) & (places < known))
        better = (places >= 0) & ((known < 0) | is_nearer)
        self.places[queries[better]], self.bits[queries[better]] = places[better], bits[better]


class _Hashed(NamedTuple):
    """Hashes of photographs, a column for each kind of copy, uint64 [N] each.

    Attributes:
        whole: The photograph, and it mirrored.
        parts: Without a border, the same mirrored, and the crops.
        plain: The photograph, and it without a border.
    """

    whole: list[Hashes]
    parts: list[Hashes]
    plain: list[Hashes]


def _hashes(sightings: pa.Table) -> _Hashed:
    given = perceptual_hashes(sightings)
    others = list(hashes_of_copies(sightings).T)
    if not others:
        return _Hashed([given], [], [given])
    inner, mirrored, *crops = others
    return _Hashed([given, mirrored], [inner, *crops], [given, inner])


def nearest_within(
    queries: Sequence[Hashes], others: Sequence[Hashes], distance: int
) -> tuple[Places, Places]:
    """The nearest of `others` to each query, if any is within a Hamming distance.

    Of `distance + k` bands of bits, hashes that differ in at most `distance` bits agree in k, so
    only those are compared whose bits in k bands fall into one bucket (multi-index hashing; M.
    Norouzi et al., "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012).

    Args:
        queries: Hashes, uint64 [Q] each: each query has several.
        others: Hashes, uint64 [N] each: each other has several.
        distance: Largest number of differing bits.

    Returns:
        For each query, the place in `others` of the nearest by any of their hashes (the first of
        equals) and the number of differing bits, int64 [Q] both; -1 where there is none.
    """
    nearest = _Nearest(len(queries[0]))
    rows = max(1, _OTHERS_AT_ONCE // len(others))
    for start in range(0, len(others[0]), rows):
        block = np.stack([column[start : start + rows] for column in others], axis=1)
        # Many photographs with one hash, as blank ones have, are compared as one.
        unique, first = np.unique(block, return_index=True)
        owners = first // len(others) + start
        for column, query, other in _candidates(queries, unique, distance):
            bits = np.bitwise_count(queries[column][query] ^ unique[other]).astype(np.int64)
            near = bits <= distance
            nearest.take(*_heads(query[near], owners[other[near]], bits[near]))
    return nearest.places, nearest.bits


def nearest_to(
    queries: Sequence[Hashes], others: Sequence[Hashes], distance: int
) -> tuple[Places, Places]:
    """What `nearest_within` gives, for others with many more hashes each than queries have.

    It is the queries that are put into buckets then, which have to be sorted.
    """
    nearest = _Nearest(len(queries[0]))
    # Of many photographs with one hash the first is the answer.
    asked, owners = zip(*(np.unique(column, return_index=True) for column in others), strict=True)
    rows = max(1, _OTHERS_AT_ONCE // len(queries))
    for start in range(0, len(queries[0]), rows):
        block = np.stack([column[start : start + rows] for column in queries], axis=1).ravel()
        for column, other, query in _candidates(asked, block, distance):
            bits = np.bitwise_count(asked[column][other] ^ block[query]).astype(np.int64)
            near = bits <= distance
            places = query[near] // len(queries) + start
            nearest.take(*_heads(places, owners[column][other[near]], bits[near]))
    return nearest.places, nearest.bits


def _heads(query: Places, place: Places, bits: Places) -> tuple[Places, Places, Places]:
    """The nearest of each query, and of those the first in row order."""
    order = np.lexsort((place, bits, query))
    query, place, bits = query[order], place[order], bits[order]
    heads = np.flatnonzero(np.diff(query, prepend=-1))
    return query[heads], place[heads], bits[heads]


_SECONDS_A_LOOKUP, _SECONDS_A_PAIR = 3e-8, 1.5e-8
_MOST_AGREEING = 4
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Of 64 bits over the golden ratio: spreads keys over buckets (Knuth, TAOCP 3, section 6.4)."""


def _agreeing(distance: int, others: int) -> int:
    """In how many bands pairs are made to agree: in more, there are more lookups and less pairs."""

    def seconds(agreeing: int) -> float:
        bands = distance + agreeing
        pairs = others / 2 ** (HASH_BITS * agreeing / bands)
        return math.comb(bands, agreeing) * (_SECONDS_A_LOOKUP + pairs * _SECONDS_A_PAIR)

    return min(range(1, _MOST_AGREEING + 1), key=seconds)


def _candidates(
    queries: Sequence[Hashes], others: Hashes, distance: int
) -> Iterator[tuple[int, Places, Places]]:
    """A column of the queries, and places of queries and others that may be near by it.

    A bounded number of pairs at a time, since of what many share there are many.
    """
    agreeing = _agreeing(distance, len(others))
    bands = distance + agreeing
    edges = [HASH_BITS * band // bands for band in range(bands + 1)]
    masks = [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
    bits = len(others).bit_length()
    for chosen in itertools.combinations(masks, agreeing):
        mask = np.uint64(sum(chosen))
        buckets = _buckets(others & mask, bits)
        order = np.argsort(buckets)
        starts = np.zeros((1 << bits) + 1, np.int64)
        np.cumsum(np.bincount(buckets, minlength=1 << bits), out=starts[1:])
        for column, hashes in enumerate(queries):
            asked = _buckets(hashes & mask, bits)
            begins = starts[asked]
            sizes = starts[asked + 1] - begins
            hits = np.flatnonzero(sizes)
            for query, other in _pairs(hits, begins[hits], sizes[hits], order):
                yield column, query, other


def _buckets(keys: Hashes, bits: int) -> Places:
    return ((keys * _MULTIPLIER) >> np.uint64(HASH_BITS - bits)).astype(np.int64)


def _pairs(
    queries: Places, begins: Places, sizes: Places, order: Places
) -> Iterator[tuple[Places, Places]]:
    """Each query with all that is in its bucket.

    Args:
        queries: Places of queries.
        begins: Where the bucket of each begins in `order`.
        sizes: How many it holds.
        order: Places of others, bucket by bucket.
    """
    totals = np.cumsum(sizes)
    begin = 0
    while begin < len(queries):
        taken = totals[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(totals, taken + _PAIRS_AT_ONCE, "right")))
        part = sizes[begin:end]
        within = np.arange(int(part.sum())) - np.repeat(np.cumsum(part) - part, part)
        yield (
            np.repeat(queries[begin:end], part),
            order[np.repeat(begins[begin:end], part) + within],
        )
        begin = end
