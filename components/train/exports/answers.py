"""What a form of the model answers, and how long it takes: one image at a time."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
Answer = Callable[[Images], Any]
"""From one image, uint8 [1, H, W, 3], to probabilities, float32 [1, K]."""


@dataclasses.dataclass(frozen=True)
class Answers:
    """A form's answers to some images.

    Attributes:
        probabilities: float32 [N, K].
        milliseconds: Median time of an answer.
    """

    probabilities: npt.NDArray[np.float32]
    milliseconds: float


def ask(answer: Answer, images: Images) -> Answers:
    """Asks for each of some images by itself, and once before, since first answers take longer.

    Args:
        answer: The form.
        images: uint8 [N, H, W, 3].
    """
    answer(images[:1])
    probabilities, seconds = [], []
    for number in range(len(images)):
        image = images[number : number + 1]
        begun = time.perf_counter()
        given = np.asarray(answer(image))
        seconds.append(time.perf_counter() - begun)
        probabilities.append(given.astype(np.float32))
    return Answers(np.concatenate(probabilities), round(float(np.median(seconds)) * 1000, 3))
