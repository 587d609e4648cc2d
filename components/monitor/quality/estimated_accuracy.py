"""Accuracy estimated without labels: by how sure the model is, and how often it is then right.

On the valid split, of which labels are known, a curve from confidence to the probability of being
right is fitted; the mean of that over a window is its estimated accuracy (average confidence, here
calibrated: Hendrycks and Gimpel 2017; Guo et al. 2017; the "confidence-based performance
estimation" of NannyML). The average thresholded confidence of Garg et al., Leveraging unlabeled
data to predict out-of-distribution performance, ICLR 2022, is given beside it.

Both take for granted that a photograph of a given confidence is as often right as it was in the
valid split. Blur, other colours and more of the hard photographs kept that, on the flowers. What
the model does not know does not: with three tulips in ten photographs, of which it had seen none,
the estimate was 0.81 and the accuracy 0.58, and no confidence or distance told (`python -m
benchmarks drift_flowers`). `doubts` says what speaks against an estimate; that it says nothing
proves nothing. Only labels do.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from darkroom.anytime import CONFIDENCE, Interval

Floats = npt.NDArray[np.float64]

DRAWS = 300
_CELLS = 20
"""Of confidence, of equal width, to tell where calibration saw photographs."""
_FEW = 5
"""Valid photographs in a cell; with fewer, what is true of it is not known."""
_UNSEEN = 0.1
"""Share of a window's photographs in such cells from which on the estimate is doubted."""
_FAR = 0.05
"""Share of a window's photographs beyond 99 % of the reference's distances, likewise."""
_LEAST = 100
"""Valid photographs that an estimate needs."""


class Calibration(NamedTuple):
    """How often answers of the valid split are right, by confidence.

    Attributes:
        confidences: Of the given labels, float64 [M].
        right: Whether each was right, bool [M].
    """

    confidences: Floats
    right: npt.NDArray[np.bool_]


class EstimatedAccuracy(NamedTuple):
    """The accuracy of a window whose labels are not known.

    Attributes:
        accuracy: By calibrated confidence.
        interval: Where the window's own accuracy lies with 95 % confidence, if a confidence means
            what it meant in the valid split: the chance of both its photographs and the valid ones.
        thresholded: By average thresholded confidence.
    """

    accuracy: float
    interval: Interval
    thresholded: float


def calibration(confidences: npt.ArrayLike, right: npt.ArrayLike) -> Calibration:
    """What an estimate stands on.

    Args:
        confidences: The probability of the given label of each valid photograph, [M].
        right: Whether it is the photograph's label, [M].
    """
    return Calibration(np.asarray(confidences, np.float64), np.asarray(right, bool))


def estimate_accuracy(
    confidences: npt.ArrayLike, known: Calibration, draws: int = DRAWS, seed: int = 0
) -> EstimatedAccuracy:
    """Estimates a window's accuracy.

    Args:
        confidences: The probability of the given label of each photograph, [N]; at least one.
        known: Of the valid split, at least one photograph.
        draws: How often valid photographs and answers are drawn for the interval.
        seed: Of the draws.

    >>> generator = np.random.default_rng(0)
    >>> sure = generator.uniform(0.5, 1, 1000)
    >>> known = calibration(sure, generator.random(1000) < sure)
    >>> low, high = estimate_accuracy(np.full(500, 0.6), known).interval
    >>> bool(low < 0.6 < high)
    True
    """
    given = np.asarray(confidences, np.float64)
    generator = np.random.default_rng(seed)
    valid = len(known.right)
    # A window of any size has some thousand values then.
    values, counts = np.unique(given.round(4), return_counts=True)
    drawn: list[float] = []
    for _ in range(draws):
        places = generator.integers(0, valid, valid)
        chance = _chance_of_right(values, known.confidences[places], known.right[places])
        drawn.append(generator.binomial(counts, chance).sum() / len(given))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    accuracy = float(_chance_of_right(given, *known).mean())
    threshold = np.quantile(known.confidences, 1 - known.right.mean())
    return EstimatedAccuracy(
        accuracy, Interval(float(low), float(high)), float((given >= threshold).mean())
    )


def doubts(
    confidences: npt.ArrayLike,
    known: Calibration,
    far: float | None = None,
    drifted: bool = False,
) -> tuple[str, ...]:
    """Why an estimated accuracy cannot be trusted, a sentence each; none if nothing speaks for it.

    Args:
        confidences: As for the estimate, [N].
        known: As for the estimate.
        far: The share of the window's photographs that lie beyond 99 % of the reference in the
            embedding (`share_beyond`); None if there are no embeddings.
        drifted: Whether a test of the embedding alarms.

    >>> known = calibration([0.9] * 150 + [0.6] * 50, [True] * 150 + [False] * 50)
    >>> doubts([0.9] * 40 + [0.3] * 10, known)
    ('20 % of the photographs have a confidence of which the valid split has too few',)
    """
    found = []
    if len(known.right) < _LEAST:
        found.append(f"the valid split has {len(known.right)} photographs, fewer than {_LEAST}")
    if known.right.all() or not known.right.any():
        found.append("the answers to the valid split are all right or all wrong")
    cells = np.bincount(_cell(known.confidences), minlength=_CELLS)
    unseen = float((cells[_cell(np.asarray(confidences, np.float64))] < _FEW).mean())
    if unseen > _UNSEEN:
        part = f"{100 * unseen:.0f} % of the photographs"
        found.append(f"{part} have a confidence of which the valid split has too few")
    if far is not None and far > _FAR:
        found.append(f"{100 * far:.0f} % of the photographs are unlike all of the reference")
    if drifted:
        found.append("the embedding has drifted: the model may be sure and wrong")
    return tuple(found)


def _cell(confidences: Floats) -> npt.NDArray[np.int64]:
    return np.minimum((confidences * _CELLS).astype(np.int64), _CELLS - 1)


def _chance_of_right(given: Floats, confidences: Floats, right: npt.NDArray[np.bool_]) -> Floats:
    """By isotonic regression: as rising as is true of the valid split, and no shape beside."""
    from sklearn.isotonic import IsotonicRegression

    curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    found: Floats = curve.fit(confidences, right.astype(np.float64)).predict(given)
    return found
