"""Near hashes: the nearest within a Hamming distance, among millions, in bounded memory."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from components.ingest.splits.sightings import Hashes, Places

HASH_BITS = 64
_PAIRS_AT_ONCE = 1 << 22
_OTHERS_AT_ONCE = 1 << 23


class Nearest:
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
    nearest = Nearest(len(queries[0]))
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
    nearest = Nearest(len(queries[0]))
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
