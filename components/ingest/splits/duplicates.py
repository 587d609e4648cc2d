"""Duplicates, found by content digests and perceptual hashes, and never left in two splits."""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.ingest.settings import IngestSettings
from darkroom.artifacts.rejected import Reason

HASH_BITS = 64
_PAIRS_AT_ONCE = 1 << 22
_PARTS_ARE_NEARER = 2
_BITS_OF_A_PICTURE = range(24, 41)

Hashes = npt.NDArray[np.uint64]


@dataclasses.dataclass(frozen=True)
class HashedImage:
    """A photograph that could be decoded, as far as copies are concerned.

    Attributes:
        image_id: Content digest.
        perceptual_hash: 64 bits, as a number.
        label: Its label.
        split: Where its split key puts it.
        labels: All its labels, where photographs have several.
        tile_values: What a label mask says of its tiles.
        copy_hashes: `copy_hashes` of it, one after the other; empty where they are not known.
    """

    image_id: str
    perceptual_hash: int
    label: str
    split: str
    labels: Sequence[str] = ()
    tile_values: str = ""
    copy_hashes: bytes = b""


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
    """Which photographs are copies, by place.

    Attributes:
        dropped: Those that are not kept, and why.
        merged_labels: Labels of those that are kept with the labels of all their copies, sorted.
    """

    dropped: dict[int, Copy]
    merged_labels: dict[int, tuple[str, ...]]


def find_copies(sightings: Sequence[HashedImage], settings: IngestSettings) -> Duplicates:
    """Decides which photographs are not kept.

    Of byte-identical photographs with one label the first is kept; with several labels none, or
    the first with them all; of those with equal perceptual hashes and several labels none. Of what
    is left, a photograph in train that nearly equals one in valid or test is not kept, nor is one
    in valid that nearly equals one in test, so that the test split never moves.

    Args:
        sightings: All photographs, in the order of their rows.
        settings: What to do with duplicates, and how near is too near.

    Returns:
        Places in `sightings`.
    """
    copies, merged_labels = _identical(sightings, settings)
    if settings.near_duplicate_distance >= 0:
        if settings.conflicting_labels == "reject":
            copies |= _conflicts_by_hash(sightings, copies)
        for split, others in (("valid", ("test",)), ("train", ("valid", "test"))):
            left = [place for place in range(len(sightings)) if place not in copies]
            leaks = _leaks(sightings, left, split, others, settings.near_duplicate_distance)
            # A duplicate of a photograph that goes too names the one that stays.
            stays = {sightings[place].image_id: leak.twin for place, leak in leaks.items()}
            for place, copy in copies.items():
                if copy.twin in stays:
                    copies[place] = dataclasses.replace(copy, twin=stays[copy.twin])
            copies |= leaks
    return Duplicates(
        copies, {place: labels for place, labels in merged_labels.items() if place not in copies}
    )


def _conflicts_by_hash(
    sightings: Sequence[HashedImage], copies: Mapping[int, Copy]
) -> dict[int, Copy]:
    """Photographs whose perceptual hashes are equal, and whose labels are not."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, sighting in enumerate(sightings):
        # Of a blank image nearly all bits are the same.
        if place not in copies and sighting.perceptual_hash.bit_count() in _BITS_OF_A_PICTURE:
            places[sighting.perceptual_hash].append(place)
    found: dict[int, Copy] = {}
    for group in places.values():
        if conflict := _conflict([sightings[place] for place in group]) if len(group) > 1 else None:
            found |= dict.fromkeys(group, Copy(Reason.CONFLICTING_LABELS, conflict, None))
    return found


def _identical(
    sightings: Sequence[HashedImage], settings: IngestSettings
) -> tuple[dict[int, Copy], dict[int, tuple[str, ...]]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, sighting in enumerate(sightings):
        places[sighting.image_id].append(place)
    copies: dict[int, Copy] = {}
    merged_labels: dict[int, tuple[str, ...]] = {}
    for image_id, group in places.items():
        if len(group) == 1:
            continue
        conflict = _conflict([sightings[place] for place in group])
        if conflict is not None and settings.conflicting_labels == "reject":
            copies |= dict.fromkeys(group, Copy(Reason.CONFLICTING_LABELS, conflict, None))
        elif conflict is not None:
            of_all = sorted({label for place in group for label in sightings[place].labels})
            merged_labels[group[0]] = tuple(of_all)
            detail = f"the same bytes as image {image_id}, kept with the labels {', '.join(of_all)}"
            copies |= dict.fromkeys(group[1:], Copy(Reason.DUPLICATE, detail, image_id))
        elif settings.duplicates == "reject":
            detail = f"the same bytes as image {image_id}"
            copies |= dict.fromkeys(group[1:], Copy(Reason.DUPLICATE, detail, image_id))
    return copies, merged_labels


def _conflict(copies: Sequence[HashedImage]) -> str | None:
    """In which way the labels of one photograph differ, if they do."""
    labels = sorted({sighting.label for sighting in copies})
    if len(labels) > 1:
        return f"the same photograph is labelled {', '.join(labels)}"
    if len({sighting.tile_values for sighting in copies}) > 1:
        return "the same photograph comes with label masks that differ"
    return None


def _leaks(
    sightings: Sequence[HashedImage],
    left: Sequence[int],
    split: str,
    others: Sequence[str],
    distance: int,
) -> dict[int, Copy]:
    ours = [sightings[place] for place in left if sightings[place].split == split]
    theirs = [sighting for place in left if (sighting := sightings[place]).split in others]
    copies = {}
    places = (place for place in left if sightings[place].split == split)
    for place, (index, bits) in zip(places, nearest_copies(ours, theirs, distance), strict=True):
        if index >= 0:
            twin = theirs[index]
            detail = f"nearly image {twin.image_id} in {twin.split} ({bits} of {HASH_BITS} bits)"
            copies[place] = Copy(Reason.NEAR_DUPLICATE, detail, twin.image_id)
    return copies


def nearest_copies(
    ours: Sequence[HashedImage], theirs: Sequence[HashedImage], distance: int
) -> list[tuple[int, int]]:
    """The nearest of some photographs that is a copy of one of others, or that one of it.

    Args:
        ours: Photographs.
        theirs: Others.
        distance: Largest number of differing bits; parts of a photograph, of which there are many,
            may differ in two less.

    Returns:
        For each of ours, the place in `theirs` and the number of differing bits, or (-1, -1).
    """
    ours_hashed, theirs_hashed = _hashes(ours), _hashes(theirs)
    best = [(-1, -1)] * len(ours)
    nearer = distance - _PARTS_ARE_NEARER
    pairs = (
        (ours_hashed.whole, theirs_hashed.whole[:, :1], distance),
        (ours_hashed.parts, theirs_hashed.plain, nearer),
        (ours_hashed.plain, theirs_hashed.parts, nearer),
    )
    for queries, others, within in pairs:
        if within >= 0 and queries.size and others.size:
            found = nearest_within(queries.ravel(), others.ravel(), within)
            for number, (place, bits) in enumerate(found):
                known = best[number // queries.shape[1]]
                candidate = (bits, place // others.shape[1])
                if place >= 0 and (known[0] < 0 or candidate < (known[1], known[0])):
                    best[number // queries.shape[1]] = (candidate[1], bits)
    return best


class _Hashed(NamedTuple):
    """Hashes of photographs, uint64 [N, ...]: whole ones, parts, and what parts are compared with.

    Attributes:
        whole: The photograph, and it mirrored.
        parts: Without a border, the same mirrored, and the crops.
        plain: The photograph, and it without a border.
    """

    whole: Hashes
    parts: Hashes
    plain: Hashes


def _hashes(sightings: Sequence[HashedImage]) -> _Hashed:
    given = np.array([s.perceptual_hash for s in sightings], np.uint64)[:, np.newaxis]
    if not sightings or not all(s.copy_hashes for s in sightings):
        return _Hashed(given, given[:, :0], given)
    joined = b"".join(s.copy_hashes for s in sightings)
    others = np.frombuffer(joined, ">u8").astype(np.uint64).reshape(len(sightings), -1)
    inner, mirrored = others[:, :1], others[:, 1:2]
    parts = np.concatenate([inner, others[:, 2:]], axis=1)
    return _Hashed(
        np.concatenate([given, mirrored], axis=1), parts, np.concatenate([given, inner], axis=1)
    )


def nearest_within(queries: Hashes, others: Hashes, distance: int) -> list[tuple[int, int]]:
    """The nearest of `others` to each query, if any is within a Hamming distance.

    Hashes that differ in at most `distance` bits agree in two of `distance + 2` bands of them, so
    only those that share two bands are compared (multi-index hashing; M. Norouzi et al., "Fast
    Search in Hamming Space with Multi-Index Hashing", CVPR 2012).

    Args:
        queries: Hashes, uint64 [Q].
        others: Hashes, uint64 [N].
        distance: Largest number of differing bits.

    Returns:
        For each query, the place in `others` of the nearest (the first of equals) and the number
        of differing bits, or (-1, -1).
    """
    # Many photographs with one hash, as blank ones have, are compared as one.
    unique_queries, query_of = np.unique(queries, return_inverse=True)
    unique_others, first_of = np.unique(others, return_index=True)
    best = np.full(len(unique_queries), HASH_BITS + 1, np.int64)
    place = np.full(len(unique_queries), -1, np.int64)
    for query, other in _candidates(unique_queries, unique_others, distance + 2):
        bits = np.bitwise_count(unique_queries[query] ^ unique_others[other]).astype(np.int64)
        near = bits <= distance
        query, other, bits = query[near], first_of[other[near]], bits[near]
        # The nearest of each query first, and of those the first in row order.
        order = np.lexsort((other, bits, query))
        query, other, bits = query[order], other[order], bits[order]
        heads = np.flatnonzero(np.diff(query, prepend=-1))
        query, other, bits = query[heads], other[heads], bits[heads]
        better = (bits < best[query]) | ((bits == best[query]) & (other < place[query]))
        best[query[better]], place[query[better]] = bits[better], other[better]
    return [
        (int(place[unique]), int(best[unique])) if place[unique] >= 0 else (-1, -1)
        for unique in query_of
    ]


def _candidates(
    queries: Hashes, others: Hashes, bands: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Places of queries and others that agree in two bands of bits, a bounded number at a time."""
    edges = [HASH_BITS * band // bands for band in range(bands + 1)]
    masks = [(1 << high) - (1 << low) for low, high in itertools.pairwise(edges)]
    for one, two in itertools.combinations(masks, 2):
        mask = np.uint64(one | two)
        keys = others & mask
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], queries & mask, "left")
        ends = np.searchsorted(keys[order], queries & mask, "right")
        sizes = ends - starts
        totals = np.cumsum(sizes)
        begin = 0
        while begin < len(queries):
            taken = totals[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(totals, taken + _PAIRS_AT_ONCE, "right")))
            part = sizes[begin:end]
            query = np.repeat(np.arange(begin, end), part)
            within = np.arange(int(part.sum())) - np.repeat(np.cumsum(part) - part, part)
            yield query, order[np.repeat(starts[begin:end], part) + within]
            begin = end
