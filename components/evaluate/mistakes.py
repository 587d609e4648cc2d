"""The mistakes a model is most sure of, with the photographs."""

import base64
import dataclasses
import heapq
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.artifacts.example_proto import parsed_example
from components.artifacts.examples import IMAGE_BYTES, IMAGE_ID
from components.artifacts.tfrecord import read_records

THUMBNAIL_SIDE = 160
"""Longer side of a thumbnail, in pixels."""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A test image with a wrong predicted label.

    Attributes:
        image_path: Where the photograph came from.
        label: What it shows.
        predicted_label: What the model says.
        probability: How sure the model is of that.
        thumbnail: A data URI; None where the image cannot be shown.
    """

    image_path: str
    label: str
    predicted_label: str
    probability: float
    thumbnail: str | None


def worst_mistakes(
    predictions: Iterable[Mapping[str, Any]], shards: Iterable[Path], limit: int
) -> list[Mistake]:
    """The wrong predictions of the highest probability, the surest first.

    Args:
        predictions: As `read_predictions` gives them.
        shards: Where the images are.
        limit: Largest number of mistakes.
    """
    wrong = (row for row in predictions if row["label"] != row["predicted_label"])
    worst = heapq.nlargest(limit, wrong, key=lambda row: (_top(row), row["image_id"]))
    thumbnails = _thumbnails(shards, {row["image_id"] for row in worst})
    return [
        Mistake(
            image_path=row["image_path"],
            label=row["label"],
            predicted_label=row["predicted_label"],
            probability=_top(row),
            thumbnail=thumbnails.get(row["image_id"]),
        )
        for row in worst
    ]


def _top(row: Mapping[str, Any]) -> float:
    return max((value for value in row["probabilities"] if value is not None), default=0.0)


def _thumbnails(shards: Iterable[Path], image_ids: set[str]) -> dict[str, str | None]:
    thumbnails: dict[str, str | None] = {}
    if not image_ids:
        return thumbnails
    for shard in shards:
        for record in read_records(shard):
            example = parsed_example(record)
            image_id = example[IMAGE_ID][0].decode()
            if image_id in image_ids:
                thumbnails[image_id] = thumbnail(example[IMAGE_BYTES][0])
    return thumbnails


def thumbnail(image_bytes: bytes) -> str | None:
    """A small JPEG of an encoded image as a data URI; None where Pillow cannot read it.

    Images of a few pixels, such as 8 x 8 digits, are enlarged so that their pixels show.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image_bytes)) as image:
            image.draft("RGB", (2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
            picture = _on_white(image)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    scale = THUMBNAIL_SIDE // max(picture.size)
    if scale > 1:
        size = (picture.width * scale, picture.height * scale)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    else:
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def _on_white(image: Any) -> Any:
    """An RGB copy, with white where it is transparent."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, which `convert` would cut off at 255
        image = image.point(lambda value: value / 256).convert("L")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")
