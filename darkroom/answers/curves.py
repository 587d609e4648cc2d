"""How well scores order images: ROC and precision-recall curves, and the areas under them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CURVE_POINTS = 200
"""Points of a curve that are kept for a chart."""

_Scores = npt.NDArray[np.floating]
_Bools = npt.NDArray[np.bool_]


class Curve(NamedTuple):
    """How many images are found, rightly and wrongly, as the threshold falls.

    Attributes:
        thresholds: The scores from which on an image counts as found, falling; float64 [P].
        hits: Images of the label that are found, float64 [P].
        false_alarms: Others that are found, float64 [P].
        positives: Images of the label.
        negatives: Others.
    """

    thresholds: npt.NDArray[np.float64]
    hits: npt.NDArray[np.float64]
    false_alarms: npt.NDArray[np.float64]
    positives: int
    negatives: int


def curve(positive: _Bools, scores: _Scores, points: int | None = CURVE_POINTS) -> Curve:
    """The curve of a label.

    Args:
        positive: Which images have the label, bool [N].
        scores: [N].
        points: Largest number of points, the rest is left out evenly; None: all.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, hit = scores[order], positive[order]
    # Images of equal scores are found together.
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    if points is not None and len(last) > points:
        kept = np.linspace(0, len(last) - 1, points).round().astype(np.int64)
        last = last[kept]
    hits = np.cumsum(hit)[last].astype(np.float64)
    found = last + 1.0
    return Curve(
        ordered[last].astype(np.float64),
        hits,
        found - hits,
        int(positive.sum()),
        int((~positive).sum()),
    )


def roc_auc(positive: _Bools, scores: _Scores) -> float:
    """The area under the ROC curve: how often an image of the label is scored above another.

    Args:
        positive: Which images have the label, bool [N].
        scores: [N]; of equal ones half count.

    Returns:
        The area; not-a-number where all images have the label, none has, or a score is not a
        number.
    """
    of_label, others = scores[positive], np.sort(scores[~positive])
    if not (len(of_label) and len(others)) or np.isnan(others[-1]) or np.isnan(of_label).any():
        return float("nan")
    below = np.searchsorted(others, of_label, "left") + np.searchsorted(others, of_label, "right")
    return float(below.sum() / (2.0 * len(of_label) * len(others)))


def average_precision(positive: _Bools, scores: _Scores) -> float:
    """The mean precision over the images that have the label, as the score falls.

    Args:
        positive: Which images have the label, bool [N].
        scores: [N]; images of equal scores count together.

    Returns:
        The mean; not-a-number where no image has the label, or a score is not a number.
    """
    of_label, everything = np.sort(scores[positive]), np.sort(scores)
    if not len(of_label) or np.isnan(everything[-1]):
        return float("nan")
    # At an image's own score: how many of the label, and how many of all, are scored as high.
    hits = len(of_label) - np.searchsorted(of_label, of_label, "left")
    found = len(everything) - np.searchsorted(everything, of_label, "left")
    return float((hits / found).mean())
