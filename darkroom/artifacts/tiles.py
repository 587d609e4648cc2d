"""The grid that cuts a large image into tiles, and the map that their answers make again."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TILE_TOP = "tile_top"
TILE_LEFT = "tile_left"
SOURCE_IMAGE_ID = "source_image_id"
"""SHA-256 of the whole image as it came in, in hexadecimal."""

TILE_COLUMNS = {TILE_TOP: "int", TILE_LEFT: "int", SOURCE_IMAGE_ID: "bytes"}
"""The extra columns, with their types, of examples that are tiles."""


class Box(NamedTuple):
    """Where a tile lies in its image, in pixels.

    Attributes:
        top: First row.
        left: First column.
        height: Number of rows.
        width: Number of columns.
    """

    top: int
    left: int
    height: int
    width: int


def tile_boxes(height: int, width: int, size: int, stride: int) -> list[Box]:
    """The tiles of an image, row by row.

    Tiles start at every multiple of the stride; the last of a row, or of a column, is shifted
    inwards to end with the image, so that all have the full size. Where the image is smaller than
    a tile, the tile is as small.

    Args:
        height: The image's, in pixels.
        width: The image's, in pixels.
        size: Side of a tile, in pixels.
        stride: Pixels from one tile to the next: at most `size`, so that every pixel is in a tile.
    """
    tops, lefts = (_starts(side, size, stride) for side in (height, width))
    tile_height, tile_width = min(size, height), min(size, width)
    return [Box(top, left, tile_height, tile_width) for top in tops for left in lefts]


def _starts(length: int, size: int, stride: int) -> list[int]:
    return [*range(0, length - size, stride), max(0, length - size)]


def cut(image: "npt.NDArray[Any]", boxes: Iterable[Box]) -> "Iterator[npt.NDArray[Any]]":
    """The tiles of an array [H, W, ...], each a view [h, w, ...] of it."""
    for top, left, height, width in boxes:
        yield image[top : top + height, left : left + width]


@dataclasses.dataclass(frozen=True)
class TileMap:
    """The answers of an image's tiles in their places.

    The edges of all tiles divide the image into cells. A cell is wholly within or wholly without
    each tile, so the map says as much as one by pixels would, in a small part of the memory.

    Attributes:
        row_edges: First pixel row of each row of cells, and the image's height; int64 [R + 1].
        column_edges: Likewise for columns, and the image's width; int64 [C + 1].
        probabilities: Mean over the tiles that hold a cell, float32 [R, C, K]; NaN where none does.
    """

    row_edges: "npt.NDArray[np.int64]"
    column_edges: "npt.NDArray[np.int64]"
    probabilities: "npt.NDArray[np.float32]"

    def pixels(self, step: int = 1) -> "npt.NDArray[np.float32]":
        """The map as an image.

        Args:
            step: Every so many pixels, in both directions, from the top left one on.

        Returns:
            Probabilities, float32 [ceil(H / step), ceil(W / step), K].
        """
        import numpy as np

        rows, columns = (
            np.searchsorted(edges, np.arange(0, edges[-1], step), "right") - 1
            for edges in (self.row_edges, self.column_edges)
        )
        image: npt.NDArray[np.float32] = self.probabilities[np.ix_(rows, columns)]
        return image


def assembled(boxes: Sequence[Box], probabilities: "npt.ArrayLike") -> TileMap:
    """Puts the answers of an image's tiles together; where tiles overlap, their mean counts.

    Args:
        boxes: Where the T tiles lie, in any order: those of `tile_boxes`, or the features
            `tile_top`, `tile_left`, `height` and `width` of the examples of one source image.
        probabilities: What each tile was given, [T, K].

    Raises:
        ValueError: There is no tile, or not a row of probabilities for each.
    """
    import numpy as np

    given = np.asarray(probabilities, np.float64)
    if given.ndim != 2 or len(given) != len(boxes) or not boxes:
        raise ValueError(f"{len(boxes)} tiles and probabilities of shape {given.shape}")
    tops, lefts, heights, widths = np.array(boxes, np.int64).T
    row_edges = np.unique([0, *tops, *(tops + heights)])
    column_edges = np.unique([0, *lefts, *(lefts + widths)])
    first_rows, last_rows = (np.searchsorted(row_edges, at) for at in (tops, tops + heights))
    first_columns, last_columns = (
        np.searchsorted(column_edges, at) for at in (lefts, lefts + widths)
    )
    shape = len(row_edges) - 1, len(column_edges) - 1
    sums, counts = np.zeros((*shape, given.shape[1])), np.zeros((*shape, 1))
    corners = zip(first_rows, last_rows, first_columns, last_columns, strict=True)
    for (top, bottom, left, right), row in zip(corners, given, strict=True):
        sums[top:bottom, left:right] += row
        counts[top:bottom, left:right] += 1
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return TileMap(row_edges, column_edges, means.astype(np.float32))
