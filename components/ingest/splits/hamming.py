"""Near hashes: the nearest within a Hamming distance, among millions, in bounded memory."""

import concurrent.futures
import functools
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence

import joblib
import numpy as np
import numpy.typing as npt

from components.ingest.splits.sightings import Hashes, Places, is_any_of

HASH_BITS = 64
_PAIRS_AT_ONCE = 1 << 22
_OTHERS_AT_ONCE = 1 << 23


class Nearest:
    """The nearest that was found so far for each of some photographs.

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
            queries: Which photographs; one may come more than once.
            places: What is near each of them.
            bits: Number of differing bits.
        """
        queries, places, bits = _heads(queries, places, bits)
        known, known_bits = self.places[queries], self.bits[queries]
        is_nearer = (bits < known_bits) | ((bits == known_bits) & (places < known))
        better = (known < 0) | is_nearer
        self.places[queries[better]], self.bits[queries[better]] = places[better], bits[better]

    def add(self, other: "Nearest") -> None:
        """Takes what another search found for the same photographs."""
        found = np.flatnonzero(other.places >= 0)
        self.take(found, other.places[found], other.bits[found])

    def part(self, start: int, end: int) -> "Nearest":
        """What was found for the photographs of a range."""
        part = Nearest(0)
        part.places, part.bits = self.places[start:end], self.bits[start:end]
        return part


def nearest_within(queries: Sequence[Hashes], others: Sequence[Hashes], distance: int) -> Nearest:
    """The nearest of `others` to each query, if any is within a Hamming distance.

    Only those are compared that agree in all bits of one of some masks, of which any two that
    are within the distance have one.

    Args:
        queries: Hashes, uint64 [Q] each: each query has several.
        others: Hashes, uint64 [N] each: each other has several.
        distance: Largest number of differing bits.

    Returns:
        For each query the nearest of `others` by any of their hashes, the first of equals.
    """
    nearest = Nearest(len(queries[0]))
    everyone = np.arange(len(queries[0]))
    asked = [(column, everyone) for column in queries]
    rows = max(1, _OTHERS_AT_ONCE // len(others))
    for start in range(0, len(others[0]), rows):
        block = np.stack([column[start : start + rows] for column in others], axis=1)
        unique, first = _unique(block.ravel())
        owners = first // len(others) + start
        found = functools.partial(_take_other, nearest, owners)
        _search(asked, unique, distance, found)
    return nearest


def nearest_to(queries: Sequence[Hashes], others: Sequence[Hashes], distance: int) -> Nearest:
    """What `nearest_within` gives, for others with many more hashes each than queries have.

    It is the queries that are put into slots then.
    """
    nearest = Nearest(len(queries[0]))
    asked = [_unique(column) for column in others]
    rows = max(1, _OTHERS_AT_ONCE // len(queries))
    for start in range(0, len(queries[0]), rows):
        block = np.stack([column[start : start + rows] for column in queries], axis=1).ravel()
        owners = np.arange(block.size) // len(queries) + start
        found = functools.partial(_take_query, nearest, owners)
        _search(asked, block, distance, found)
    return nearest


def _unique(hashes: Hashes) -> tuple[Hashes, Places]:
    """The hashes and their places; of equal ones, as blank photographs have, the first alone."""
    ordered = np.sort(hashes)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return hashes, np.arange(len(hashes))
    places = np.flatnonzero(is_any_of(hashes, repeated))
    _, first = np.unique(hashes[places], return_index=True)
    is_kept = np.ones(len(hashes), bool)
    is_kept[places] = False
    is_kept[places[first]] = True
    kept = np.flatnonzero(is_kept)
    return hashes[kept], kept


def _take_other(
    nearest: Nearest, owners: Places, queries: Places, others: Places, bits: Places
) -> None:
    nearest.take(queries, owners[others], bits)


def _take_query(
    nearest: Nearest, owners: Places, others: Places, queries: Places, bits: Places
) -> None:
    nearest.take(owners[queries], others, bits)


def _heads(query: Places, place: Places, bits: Places) -> tuple[Places, Places, Places]:
    """The nearest of each query, and of those the first in row order."""
    order = np.lexsort((place, bits, query))
    query, place, bits = query[order], place[order], bits[order]
    heads = np.flatnonzero(np.diff(query, prepend=-1))
    return query[heads], place[heads], bits[heads]


_SECONDS_A_LOOKUP, _SECONDS_A_PAIR = 1e-8, 2.5e-7
_MOST_THREADS = 4
_QUERIES_AT_ONCE = 1 << 17
"""As many as stay in a processor's cache from one step to the next."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""Of 64 bits over the golden ratio: spreads keys over slots (Knuth, TAOCP 3, section 6.4)."""
_SPARE_BITS = 3
"""There are 8 to 16 times as many slots as hashes: a query rarely meets one by chance."""
_MOST_BITS = 26
_EMPTY, _SEVERAL = 0, 255
"""What a slot holds in the place of 8 further bits of the one hash in it."""


def _search(
    queries: Sequence[tuple[Hashes, Places]],
    others: Hashes,
    distance: int,
    take: Callable[[Places, Places, Places], None],
) -> None:
    """Finds all pairs within the distance, by a thread a core: NumPy's loops hold no lock.

    Args:
        queries: Hashes, and whose they are.
        others: Hashes.
        distance: Largest number of differing bits.
        take: Is given owners of queries, places of others and the number of differing bits, some
            at a time, by one thread at a time.
    """
    one_at_a_time = threading.Lock()
    masks = _masks(distance, len(others))
    threads = min(joblib.cpu_count(), _MOST_THREADS)  # it knows a container's share

    def search(some: Sequence[np.uint64]) -> None:
        for found in _near(queries, others, distance, some):
            with one_at_a_time:
                take(*found)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(search, [masks[first::threads] for first in range(threads)]))


def _near(
    queries: Sequence[tuple[Hashes, Places]],
    others: Hashes,
    distance: int,
    masks: Sequence[np.uint64],
) -> Iterator[tuple[Places, Places, Places]]:
    """Pairs that are within the distance and agree in the bits of one of the masks.

    A bounded number at a time, since of what many share there are many.
    """
    slots = _Slots(others)
    for mask in masks:
        slots.fill(mask)
        met = [slots.meeting(hashes) for hashes, _ in queries]
        found = list(zip(queries, met, strict=True))
        asked = np.concatenate([hashes[hits] for (hashes, _), hits in found])
        owners = np.concatenate([whose[hits] for (_, whose), hits in found])
        for query, place in slots.pairs(asked):
            bits = np.bitwise_count(asked[query] ^ others[place]).astype(np.int64)
            near = bits <= distance
            yield owners[query[near]], place[near], bits[near]


def _masks(distance: int, others: int) -> list[np.uint64]:
    """Masks of which any two hashes within the distance agree in all bits of one at least.

    The bits are cut into parts: in one of them at most `distance // parts` bits differ, and its
    masks leave out any so many bits. More bits a mask mean less pairs by chance, and more masks.

    Args:
        distance: Largest number of differing bits.
        others: Number of hashes that each is compared with.
    """

    def seconds(parts: int) -> float:
        differing, bits = distance // parts, HASH_BITS / parts
        masks, kept = (2 ** (differing + 1) - 2, bits / 2) if differing else (1, bits)
        return parts * masks * (_SECONDS_A_LOOKUP + others / 2**kept * _SECONDS_A_PAIR)

    possible = [n for n in range(1, distance + 2) if 2 ** (distance // n) <= HASH_BITS // n]
    parts = min(possible, key=seconds)
    edges = [HASH_BITS * part // parts for part in range(parts + 1)]
    return [
        mask << np.uint64(low)
        for low, high in itertools.pairwise(edges)
        for mask in _covering(high - low, distance // parts)
    ]


def _covering(bits: int, differing: int) -> list[np.uint64]:
    """Masks of half the bits each: one at least leaves out any so many bits or less.

    Every bit has a vector of `differing + 1` binary digits: 1, and the last of its number. To so
    many vectors some other one is orthogonal, modulo 2; a mask for each of these other ones holds
    the bits whose vectors are not orthogonal to it (R. Pagh, "Locality-sensitive Hashing without
    False Negatives", SODA 2016; the vectors are a Reed-Muller code, so that masks are even).

    Args:
        bits: Number of bits, at least 2 to the power of `differing`.
        differing: How many may differ.
    """
    if not differing:
        return [np.uint64(2**bits - 1)]
    return [
        np.uint64(sum(1 << bit for bit in range(bits) if (first + (bit & other).bit_count()) % 2))
        for other in range(1, 2**differing)
        for first in (0, 1)
    ]


class _Slots:
    """Hashes by some of their bits: which of many queries meet any, told in a few ns each.

    A slot holds 8 further bits of the hash that is in it, so that a query that comes there by
    chance is told from it. Most queries meet none: only those that do, and what they meet, are
    sorted and paired.
    """

    def __init__(self, hashes: Hashes) -> None:
        bits = min(len(hashes).bit_length() + _SPARE_BITS, _MOST_BITS)
        self._hashes = hashes
        self._shift = np.uint64(HASH_BITS - bits)
        self._marks, self._asked = np.zeros(1 << bits, np.uint8), np.zeros(1 << bits, bool)
        self._mask = np.uint64(0)
        # Written again and again, so that they stay in a processor's cache.
        self._some = np.empty(_QUERIES_AT_ONCE, np.uint64)
        self._found = np.empty(_QUERIES_AT_ONCE, np.uint8)
        self._slots = np.zeros(0, np.int64)

    def fill(self, mask: np.uint64) -> None:
        """Goes by other bits from here on."""
        self._marks.fill(_EMPTY)
        self._mask = mask
        self._slots, marks = self._slot(self._hashes)
        self._marks[self._slots] = marks
        self._marks[self._slots[self._marks.take(self._slots) != marks]] = _SEVERAL

    def meeting(self, queries: Hashes) -> Places:
        """Places of the queries that may meet any."""
        found = [np.zeros(0, np.int64)]
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            some = queries[start : start + _QUERIES_AT_ONCE]
            slots, marks = self._slot(some, self._some[: len(some)])
            there = self._marks.take(slots, out=self._found[: len(some)], mode="clip")
            found.append(np.flatnonzero((there == marks) | (there == _SEVERAL)) + start)
        return np.concatenate(found)

    def pairs(self, queries: Hashes) -> Iterator[tuple[Places, Places]]:
        """Places of queries that meet any, each with the places of all hashes in its slot."""
        asked, _ = self._slot(queries)
        self._asked[asked] = True
        members = np.flatnonzero(self._asked.take(self._slots))
        self._asked[asked] = False
        # Both are in the same slots, so that in order of slots they go side by side.
        places, _, asking = _by_slot(asked)
        order, begins, sizes = _by_slot(self._slots[members])
        met = members[order]
        for query, place in _pairs(np.repeat(begins, asking), np.repeat(sizes, asking)):
            yield places[query], met[place]

    def _slot(
        self, hashes: Hashes, out: Hashes | None = None
    ) -> tuple[Places, npt.NDArray[np.uint8]]:
        """The slot of each, and what it would hold."""
        slots = np.bitwise_and(hashes, self._mask, out=out)
        np.multiply(slots, _MULTIPLIER, out=slots)
        np.right_shift(slots, self._shift - np.uint64(8), out=slots)
        marks = slots.astype(np.uint8)  # the lowest 8 bits
        np.clip(marks, _EMPTY + 1, _SEVERAL - 1, out=marks)
        return np.right_shift(slots, np.uint64(8), out=slots).view(np.int64), marks


def _by_slot(slots: Places) -> tuple[Places, Places, Places]:
    """The order by slots, where in it each slot begins, and how many are in each."""
    bits = len(slots).bit_length()
    # Numbers are sorted several times as fast as their places.
    ordered = np.sort((slots << bits) | np.arange(len(slots)))
    begins = np.flatnonzero(np.diff(ordered >> bits, prepend=-1))
    return ordered & ((1 << bits) - 1), begins, np.diff(begins, append=len(slots))


def _pairs(begins: Places, sizes: Places) -> Iterator[tuple[Places, Places]]:
    """Each query with all places of its range, a bounded number at a time.

    Args:
        begins: Where the range of each query begins.
        sizes: How many it holds.
    """
    totals = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        taken = totals[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(totals, taken + _PAIRS_AT_ONCE, "right")))
        part = sizes[begin:end]
        within = np.arange(int(part.sum())) - np.repeat(np.cumsum(part) - part, part)
        yield np.repeat(np.arange(begin, end), part), np.repeat(begins[begin:end], part) + within
        begin = end
