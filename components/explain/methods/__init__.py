"""The methods of explanation, a module each."""

import dataclasses

import numpy as np
import numpy.typing as npt

from components.explain.settings import Baseline


@dataclasses.dataclass(frozen=True)
class Attribution:
    """What of a photograph an answer follows from.

    Attributes:
        values: What each pixel adds to the label's probability, float32 [H, W]; what speaks
            against the label is negative.
        error: Difference of what all pixels add from the probability less the baseline's, as a
            fraction of it; None where the method promises no sum.
        steps: Pictures that the model was asked about.
    """

    values: npt.NDArray[np.float32]
    error: float | None
    steps: int


def baselines(name: Baseline, pixels: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """The pictures of nothing, each like the photograph, float32 [H, W, 3]."""
    greys = {"black": (0.0,), "grey": (127.5,), "white": (255.0,), "black_and_white": (0.0, 255.0)}
    return [np.full_like(pixels, grey) for grey in greys[name]]
