"""The ranks of values among those of a reference: one scale for scores that have no unit.

The rank of a value is the share of the reference that is lower, equal ones counted half. The mean
rank is a half if nothing changes, and otherwise the probability that a new value is the higher one
(the statistic of Mann and Whitney, and the area under a ROC curve).
"""

import math

import numpy as np
import numpy.typing as npt

from darkroom.anytime import Interval


def ranks(values: npt.ArrayLike, reference: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The ranks of values, float64 [N], from 0 to 1.

    Args:
        values: [N].
        reference: [M]; at least one.

    >>> ranks([1, 2, 9], [1, 2, 3, 4]).tolist()
    [0.125, 0.375, 1.0]
    """
    ordered = np.sort(np.asarray(reference))
    below = np.searchsorted(ordered, values, "left")
    not_above = np.searchsorted(ordered, values, "right")
    found: npt.NDArray[np.float64] = (below + not_above) / (2 * len(ordered))
    return found


def highest_mean_rank(count: int, error: float) -> Interval:
    """Up to where the mean rank of new values may lie, if they are like the reference.

    The true ranks of the reference's own values are uniform, with a mean of a half on average, and
    a uniform number is sub-Gaussian with its own variance of 1 / 12 (Marchal and Arbel, Electronic
    Communications in Probability 2017). Values that are equal share a rank, which spreads less.

    Args:
        count: Values of the reference.
        error: Probability that the mean rank of new ones is higher.

    >>> round(highest_mean_rank(1000, 0.001).high, 3)
    0.534
    """
    reach = math.sqrt(2 / 12 * math.log(1 / error) / count)
    return Interval(0.0, min(1.0, 0.5 + reach))
