"""The nearest hashes are those that comparing all pairs would find."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.splits import hamming
from components.ingest.splits.hamming import nearest_to, nearest_within

hashes = st.integers(0, 2**64 - 1)


@st.composite
def clusters(draw: st.DrawFn) -> list[int]:
    """Hashes of which many lie a few bits from another, as random ones never do."""
    centres = draw(st.lists(hashes, min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=8)
    members = draw(st.lists(st.tuples(st.sampled_from(centres), flips), max_size=30))
    result = []
    for centre, bits in members:
        for bit in bits:
            centre ^= 1 << bit
        result.append(centre)
    return result


def column(values: Sequence[int]) -> Any:
    return np.array(values, np.uint64)


@given(clusters(), clusters(), st.integers(0, 8), st.randoms())
def test_nearest_is_what_comparing_all_pairs_gives(
    queries: list[int], others: list[int], distance: int, random: Any
) -> None:
    others = others + random.sample(queries, len(queries) // 3)
    found = nearest_within([column(queries)], [column(others)], distance)
    other_way = nearest_to([column(queries)], [column(others)], distance)
    np.testing.assert_array_equal(other_way.places, found.places)
    np.testing.assert_array_equal(other_way.bits, found.bits)
    for query, place, bits in zip(queries, found.places.tolist(), found.bits.tolist(), strict=True):
        distances = [(query ^ other).bit_count() for other in others]
        if min(distances, default=65) > distance:
            assert (place, bits) == (-1, -1)
        else:
            assert bits == min(distances)
            assert place == distances.index(bits)


def test_many_equal_hashes_are_no_burden() -> None:
    same = np.zeros(200_000, np.uint64)
    nearest = nearest_within([same], [same], 4)
    assert not nearest.places.any()
    assert not nearest.bits.any()


@given(st.sets(st.integers(0, 63), max_size=6), st.sampled_from([10, 10**4, 10**7]))
def test_some_mask_leaves_out_whatever_differs(differing: set[int], others: int) -> None:
    error = sum(1 << bit for bit in differing)
    for distance in (len(differing), 6, 8, 16):
        assert any(not int(mask) & error for mask in hamming._masks(distance, others))


@pytest.mark.parametrize(("bits", "differing"), [(64, 1), (64, 2), (64, 3), (21, 4), (32, 3)])
def test_masks_of_half_the_bits_leave_out_any_few(bits: int, differing: int) -> None:
    masks = [int(mask) for mask in hamming._covering(bits, differing)]
    assert bits & (bits - 1) or all(mask.bit_count() == bits // 2 for mask in masks)
    for chosen in itertools.combinations(range(bits), differing):
        error = sum(1 << bit for bit in chosen)
        assert any(not mask & error for mask in masks)
