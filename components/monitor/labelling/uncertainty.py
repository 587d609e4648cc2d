"""How unsure a model is of photographs, as figures from 0 (sure) to 1 (no idea)."""

import numpy as np
import numpy.typing as npt

from components.monitor.drift.answers import entropies
from components.monitor.labelling.pool import Pool

Floats = npt.NDArray[np.float64]


def closeness(pool: Pool) -> Floats:
    """How close each photograph is to another answer, float64 [N]; 1 is at the decision.

    Of one label a photograph, 1 less the margin between the two likeliest labels. Of several, by
    the label whose probability is nearest to its threshold, as a part of the way from the threshold
    to 0 or 1.

    >>> pool = Pool(
    ...     ("daisy", "rose"), ("a.jpg",), ("0a",), np.array([[0.75, 0.25]]),
    ...     np.zeros((1, 3), np.float32), np.zeros(1, bool), np.zeros((1, 2), bool),
    ... )
    >>> closeness(pool).tolist()
    [0.5]
    """
    if pool.thresholds is None:
        highest = np.sort(pool.probabilities, axis=1)
        second = highest[:, -2] if len(pool.labels) > 1 else 0.0
        margin: Floats = highest[:, -1] - second
        return 1 - np.clip(margin, 0, 1)
    above = pool.probabilities - pool.thresholds
    way = np.where(above >= 0, 1 - pool.thresholds, pool.thresholds)
    parts = np.abs(above) / np.maximum(way, 1e-12)
    found: Floats = 1 - np.clip(parts, 0, 1).min(axis=1)
    return found


def unsureness(pool: Pool) -> Floats:
    """How unsure the model is of each photograph as a whole, float64 [N].

    The entropy as a part of the largest possible; of several labels a photograph, the mean of that
    of each label.

    >>> pool = Pool(
    ...     ("daisy", "rose"), ("a.jpg",), ("0a",), np.array([[0.5, 0.5]]),
    ...     np.zeros((1, 3), np.float32), np.zeros(1, bool), np.zeros((1, 2), bool),
    ... )
    >>> unsureness(pool).tolist()
    [1.0]
    """
    if pool.thresholds is None:
        return entropies(pool.probabilities) if len(pool.labels) > 1 else np.zeros(len(pool.images))
    each = pool.probabilities.ravel()
    found: Floats = (
        entropies(np.stack([each, 1 - each], axis=1)).reshape(pool.probabilities.shape).mean(axis=1)
    )
    return found
