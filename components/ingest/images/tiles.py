"""Large images cut into tiles, each an example of its own, labelled by its image or by a mask."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from components.ingest.settings import TileSettings
from components.ingest.sources.rows import Row
from darkroom.artifacts.rejected import Reason, RejectedError
from darkroom.artifacts.tiles import (
    SOURCE_IMAGE_ID,
    TILE_LEFT,
    TILE_TOP,
    Box,
    cut,
    tile_boxes,
)
from darkroom.images.photograph import Limits, Photograph, encoded, read_picture
from darkroom.pixels import upright
from darkroom.sources.columns import ColumnValue
from darkroom.sources.storage import read_file

_MASK_FORMATS = ("PNG", "TIFF", "BMP")


@dataclasses.dataclass(frozen=True)
class Tiled:
    """An image that was decoded whole, to be cut into tiles.

    Attributes:
        photograph: What is known of the whole image; its bytes as they came.
        picture: Its pixels, upright.
        boxes: Where its tiles lie.
        values: The label mask's maximum in each tile; empty without a mask.
    """

    photograph: Photograph
    picture: Image.Image
    boxes: Sequence[Box]
    values: Sequence[int]


def read_tiled(
    data: bytes, mask: str | None, limits: Limits, tiles: TileSettings, labels: Sequence[str]
) -> Tiled:
    """Decodes an image and its label mask.

    Args:
        data: The image file's bytes.
        mask: Path or URI of the label mask; None where there is none.
        limits: How large and how narrow the whole image may be.
        tiles: Size and stride.
        labels: The mask's value 0 stands for the first of them, 1 for the second, and so on.

    Raises:
        RejectedError: No whole image, or no mask that fits it.
    """
    photograph, picture = read_picture(data, limits)
    boxes = tile_boxes(photograph.height, photograph.width, tiles.size, tiles.step)
    values = [] if mask is None else _mask_values(mask, photograph, boxes, len(labels))
    return Tiled(photograph, picture, boxes, values)


def _mask_values(
    location: str, photograph: Photograph, boxes: Sequence[Box], labels: int
) -> list[int]:
    mask = _read_mask(location, (photograph.height, photograph.width))
    for value in (int(mask.min()), int(mask.max())):
        if not 0 <= value < labels:
            detail = f"{location} holds {value}: ingest.labels has 0 to {labels - 1}"
            raise RejectedError(Reason.UNKNOWN_MASK_VALUE, detail)
    return [int(tile.max()) for tile in cut(mask, boxes)]


def _read_mask(location: str, size: tuple[int, int]) -> npt.NDArray[np.integer | np.bool_]:
    """The values of a mask, [H, W]: of a palette image its indices, not its colours."""
    try:
        image: Image.Image = Image.open(io.BytesIO(read_file(location)), formats=_MASK_FORMATS)
        # By the header first, before memory is taken for the pixels of another image.
        if image.width * image.height == size[0] * size[1]:
            image.load()
            image = upright(image)
    except RejectedError as error:
        raise _unreadable(location, error.detail) from None
    except Exception as error:
        is_other = isinstance(error, UnidentifiedImageError)
        reason = "no PNG, TIFF or BMP image, which keep values exactly" if is_other else str(error)
        raise _unreadable(location, reason) from None
    if (image.height, image.width) != size:
        detail = f"{location} has {image.width} x {image.height} pixels, not {size[1]} x {size[0]}"
        raise RejectedError(Reason.MASK_OF_ANOTHER_SIZE, detail)
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise _unreadable(location, f"its pixels are {image.mode}, not one whole number each")
    return np.asarray(image)


def _unreadable(location: str, detail: str) -> RejectedError:
    return RejectedError(Reason.UNREADABLE_MASK, f"{location}: {detail}")


def tiles_of(
    row: Row, tiled: Tiled, image_id: str, labels: Sequence[str]
) -> Iterator[tuple[Row, Photograph, str]]:
    """Cuts an image into tiles, one at a time.

    Args:
        row: The image's row.
        tiled: The image.
        image_id: Content digest of the image.
        labels: The labels that a mask's values stand for.

    Yields:
        What would make each tile an example, were it an image of its own: row, photograph and
        image id. Equal tiles of two images, or of one, have ids of their own.
    """
    whole = tiled.photograph
    for place, box in enumerate(tiled.boxes):
        tile_row = labelled_by_mask(row, tiled.values[place], labels) if tiled.values else row
        columns: dict[str, ColumnValue] = {
            TILE_TOP: box.top,
            TILE_LEFT: box.left,
            SOURCE_IMAGE_ID: image_id,
        }
        tile = dataclasses.replace(
            whole, image_bytes=_tile_bytes(tiled, box), height=box.height, width=box.width
        )
        tile_id = hashlib.sha256(f"{image_id} {' '.join(map(str, box))}".encode()).hexdigest()
        yield dataclasses.replace(tile_row, columns=row.columns | columns), tile, tile_id


def labelled_by_mask(row: Row, value: int, labels: Sequence[str]) -> Row:
    """A row with the label that a mask's value stands for."""
    label = labels[value]
    return dataclasses.replace(row, label=label, labels=(label,) if row.labels else ())


def _tile_bytes(tiled: Tiled, box: Box) -> bytes:
    whole = tiled.photograph
    if len(tiled.boxes) == 1 and not whole.converted:
        return whole.image_bytes
    tile = tiled.picture.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    return encoded(tile, whole.file_format)


def tiles_by_label(tile_values: str, labels: Sequence[str]) -> Mapping[str, int]:
    """Number of tiles by label.

    Args:
        tile_values: An entry's: the mask's maximum in each tile.
        labels: The labels that a mask's values stand for.
    """
    counts: dict[str, int] = {}
    for value in tile_values.split():
        label = labels[int(value)]
        counts[label] = counts.get(label, 0) + 1
    return counts
