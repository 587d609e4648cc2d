"""Where a mean may lie by a reference: what the chance of its photographs leaves open.

A reference of 300 photographs knows a share to some 5 points. Windows that are compared with the
share as it happened to be there would alarm one day, though nothing has changed: with enough
photographs any such difference shows. So they are compared with all that it leaves open, at a
stated error, and a change that does not matter can be left open too (`widened`).
"""

import math

import numpy as np
import numpy.typing as npt

from components.monitor.sequential.evidence import FRACTIONS, log_growth
from darkroom.anytime import Interval


def share_range(hits: int, count: int, error: float) -> Interval:
    """Where a share may lie.

    The exact interval of Clopper and Pearson, Biometrika 1934, of SciPy.

    Args:
        hits: Photographs of the reference that have it.
        count: All of them; at least 1.
        error: Probability that the share lies outside.

    >>> [round(limit, 3) for limit in share_range(200, 1000, 0.001)]
    [0.16, 0.244]
    """
    from scipy.stats import binomtest

    found = binomtest(int(hits), int(count)).proportion_ci(1 - error, "exact")
    return Interval(float(found.low), float(found.high))


def mean_range(values: npt.ArrayLike, error: float) -> Interval:
    """Where the mean of values from 0 to 1 may lie, whatever their distribution.

    Those means against which no bettor wins 2 / error on either side: Waudby-Smith and Ramdas,
    Estimating means of bounded random variables by betting, Journal of the Royal Statistical
    Society B 2024, theorem 3, with bets that are not adapted.

    Args:
        values: Of the reference's photographs, [N]; at least one.
        error: Probability that the mean lies outside.

    Raises:
        ValueError: A value is not from 0 to 1, or there is none.

    >>> low, high = mean_range([0.2, 0.3, 0.4] * 100, 0.001)
    >>> 0.27 < low < 0.3 < high < 0.33
    True
    """
    x = np.asarray(values, np.float64)
    if not x.size or not ((x >= 0) & (x <= 1)).all():
        raise ValueError("a reference of a bounded mean needs values from 0 to 1")
    return Interval(_lowest(x, error), 1 - _lowest(1 - x, error))


def _lowest(x: npt.NDArray[np.float64], error: float) -> float:
    """The lower end: bets on a mean above it have won less, and less still above."""
    from scipy.optimize import brentq

    counts = np.ones_like(x)
    riches = math.log(2 / error * len(FRACTIONS))

    def left_to_win(mean: float) -> float:
        return riches - float(np.logaddexp.reduce(list(log_growth(x, counts, mean))))

    least, mean = 1e-9, float(x.mean())
    if mean <= least or left_to_win(least) > 0:
        return 0.0
    return float(brentq(left_to_win, least, mean))


def rank_range(count: int, error: float) -> Interval:
    """Where the mean rank of photographs in a reference may lie, if they are like it.

    The ranks of the reference's own photographs in the true distribution are uniform, with a mean
    of a half on average, and a uniform number is sub-Gaussian with its own variance of 1 / 12
    (Marchal and Arbel, Electronic Communications in Probability 2017). Values that are equal
    share a rank, which spreads less.

    Args:
        count: Photographs of the reference.
        error: Probability that the mean rank lies outside.

    >>> [round(limit, 3) for limit in rank_range(1000, 0.001)]
    [0.464, 0.536]
    """
    reach = math.sqrt(2 / 12 * math.log(2 / error) / count)
    return Interval(max(0.0, 0.5 - reach), min(1.0, 0.5 + reach))


def widened(allowed: Interval, tolerance: float) -> Interval:
    """A range with a change left open that does not matter.

    >>> widened(Interval(0.25, 0.5), 0.125)
    Interval(low=0.125, high=0.625)
    """
    return Interval(max(0.0, allowed.low - tolerance), min(1.0, allowed.high + tolerance))
