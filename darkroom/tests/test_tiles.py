"""Tiles cover an image, and their answers make a map of it again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.artifacts.tiles import Box, assembled, cut, tile_boxes

sides = st.integers(1, 60)


@st.composite
def grids(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Height, width, size and stride."""
    size = draw(st.integers(1, 40))
    return draw(sides), draw(sides), size, draw(st.integers(1, size))


@given(grids())
def test_tiles_cover_every_pixel_and_lie_within(grid: tuple[int, int, int, int]) -> None:
    height, width, size, stride = grid
    boxes = tile_boxes(*grid)
    seen = np.zeros((height, width), int)
    for tile in cut(seen, boxes):
        assert tile.shape == (min(size, height), min(size, width))
        tile += 1
    assert seen.min() >= 1
    assert len(set(boxes)) == len(boxes)
    assert boxes == sorted(boxes)
    # No more tiles than the stride asks for.
    tiles_down, tiles_across = (1 + -(-max(0, side - size) // stride) for side in (height, width))
    assert len(boxes) == tiles_down * tiles_across


def test_the_last_tiles_are_shifted_inwards() -> None:
    assert [box.left for box in tile_boxes(10, 25, 10, 8)] == [0, 8, 15]
    assert tile_boxes(5, 25, 10, 10) == [Box(0, left, 5, 10) for left in (0, 10, 15)]


@given(grids(), st.lists(st.floats(0, 1, width=32), min_size=1, max_size=3))
def test_one_answer_everywhere_is_that_answer(
    grid: tuple[int, int, int, int], answer: list[float]
) -> None:
    boxes = tile_boxes(*grid)
    pixels = assembled(boxes, [answer] * len(boxes)).pixels()
    assert pixels.shape == (*grid[:2], len(answer))
    assert (pixels == np.array(answer, np.float32)).all()


@given(grids(), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_map_is_the_mean_by_pixel_whatever_the_order(
    grid: tuple[int, int, int, int], seed: int, step: int
) -> None:
    height, width, _, _ = grid
    generator = np.random.default_rng(seed)
    boxes = [Box(*row) for row in generator.permutation(tile_boxes(*grid)).tolist()]
    answers = generator.random((len(boxes), 2))
    sums, counts = np.zeros((height, width, 2)), np.zeros((height, width, 1))
    for tile, count, answer in zip(cut(sums, boxes), cut(counts, boxes), answers, strict=True):
        tile += answer
        count += 1
    tile_map = assembled(boxes, answers)
    np.testing.assert_allclose(tile_map.pixels(), sums / counts, rtol=1e-6)
    np.testing.assert_array_equal(tile_map.pixels(step), tile_map.pixels()[::step, ::step])


@given(grids(), st.integers(0, 2**32 - 1))
def test_tiles_that_do_not_overlap_give_their_answers_back(
    grid: tuple[int, int, int, int], seed: int
) -> None:
    size = grid[2]
    boxes = tile_boxes(3 * size, 2 * size, size, size)
    answers = np.random.default_rng(seed).random((6, 3)).astype(np.float32)
    tile_map = assembled(boxes, answers)
    np.testing.assert_array_equal(tile_map.probabilities.reshape(6, 3), answers)


def test_what_no_tile_saw_is_no_number() -> None:
    tile_map = assembled([Box(0, 0, 2, 2), Box(2, 2, 2, 2)], [[1.0], [0.5]])
    corners = tile_map.pixels()[[0, 0, 3, 3], [0, 3, 0, 3], 0]
    np.testing.assert_array_equal(corners, [1, np.nan, np.nan, 0.5])


def test_answers_that_do_not_fit_the_tiles_are_refused() -> None:
    for boxes, answers in (([], []), ([Box(0, 0, 2, 2)], [[1.0], [0.5]]), ([Box(0, 0, 2, 2)], [1])):
        with pytest.raises(ValueError, match="tiles and probabilities of shape"):
            assembled(boxes, answers)
