"""What of a photograph an answer follows from: parts are covered, and the model is asked again.

Cheap and honest: it needs no gradients, and each number is a difference of two real answers.
`darkroom explain` has finer methods.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.serve.calls.batching import Calls
from components.serve.calls.signature_call import Array
from components.serve.errors import RequestError
from darkroom.artifacts.model import IMAGE_BYTES

GRID = 8
"""Rows and columns of the map; a covered part is two cells wide and high, around its own."""
_INPUT = "input_images"


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """A photograph's map.

    Attributes:
        label: The label that was answered; of several, the most probable one.
        label_index: Its place.
        probability: Its probability.
        picture: The photograph as the network sees it, uint8 [H, W, 3].
        effects: By how much the label's probability falls where a part is covered, float32
            [GRID, GRID]; below zero where the part speaks against it.
    """

    label: str
    label_index: int
    probability: float
    picture: Array
    effects: Array


def occlusion_of(
    preprocess: Any, model: Any, image_bytes: bytes, calls: Calls, batch_size: int
) -> Occlusion:
    """Explains the answer to a photograph.

    Args:
        preprocess: The signature `xai_preprocess`.
        model: The signature `xai_model`.
        image_bytes: The photograph.
        calls: What calls signatures.
        batch_size: Covered photographs a call.

    Raises:
        RequestError: It cannot be decoded, or is over a limit.
    """
    asked = {IMAGE_BYTES: np.array([image_bytes], dtype=object)}
    images = calls.call(preprocess, asked)[_INPUT]
    answer = calls.call(model, {_INPUT: images})
    if not {"label", "label_index", "probabilities"} <= answer.keys():
        raise RequestError("the model's answers have no label and probabilities to explain")
    place = int(answer["label_index"][0])
    probability = float(answer["probabilities"][0, place])
    covered = _covered(images[0])
    falls = [
        probability - calls.call(model, {_INPUT: part})["probabilities"][:, place]
        for part in (
            covered[first : first + batch_size] for first in range(0, len(covered), batch_size)
        )
    ]
    return Occlusion(
        label=answer["label"][0].decode(errors="backslashreplace"),
        label_index=place,
        probability=probability,
        picture=_shown(images[0]),
        effects=np.concatenate(falls).reshape(GRID, GRID),
    )


def _covered(image: Array) -> Array:
    """The picture GRID * GRID times, each time with another part in its mean colour."""
    mean = image.mean(axis=(0, 1))
    copies = np.repeat(image[np.newaxis], GRID * GRID, axis=0)
    for copy, (rows, columns) in zip(copies, _parts(*image.shape[:2]), strict=True):
        copy[rows, columns] = mean
    return copies


def _parts(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for row in range(GRID):
        for column in range(GRID):
            yield _around(row, height), _around(column, width)


def _around(cell: int, length: int) -> slice:
    """A cell and half of each of its neighbours; at least a pixel."""
    first = round((cell - 0.5) * length / GRID)
    end = round((cell + 1.5) * length / GRID)
    return slice(max(0, first), max(end, first + 1, 1))


def _shown(image: Array) -> Array:
    """The picture in 0 to 255, whatever range the network takes."""
    low, high = float(image.min()), float(image.max())
    if low < 0 or high <= 1:
        image = (image - low) * (255 / ((high - low) or 1))
    return np.clip(image, 0, 255).round().astype(np.uint8)
