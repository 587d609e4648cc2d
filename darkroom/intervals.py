"""Intervals of metrics, and statistics of two models on the same images."""

import math
import statistics
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from darkroom.anytime import CONFIDENCE, Interval

REPLICATES = 1000
_DEVIATIONS = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def mcnemar(newly_right: int, newly_wrong: int) -> float:
    """The exact two-sided p-value of two models that are equally often right.

    McNemar, Psychometrika 1947, with the binomial distribution in place of its approximation: of
    the images that one model alone has right, half are expected to be the other's.

    Args:
        newly_right: Images that the new model alone has right.
        newly_wrong: Images that the old model alone has right.

    >>> round(mcnemar(1, 9), 4)
    0.0215
    >>> mcnemar(0, 0)
    1.0
    """
    from scipy.special import bdtr

    # The distribution is symmetric: what is no likelier is as far out on either side.
    fewer, discordant = min(newly_right, newly_wrong), newly_right + newly_wrong
    return min(1.0, 2 * float(bdtr(fewer, discordant, 0.5)))


def wilson(hits: int, count: int) -> Interval:
    """The interval of a share (Wilson, Journal of the American Statistical Association 1927).

    SciPy's own takes a millisecond, and there may be thousands of slices.
    """
    share, z2 = hits / count, _DEVIATIONS**2
    centre = share + z2 / (2 * count)
    width = _DEVIATIONS * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    scale = 1 + z2 / count
    low = 0.0 if hits == 0 else (centre - width) / scale
    high = 1.0 if hits == count else (centre + width) / scale
    return Interval(low, high)


def difference_of_shares(both: int, newly_right: int, newly_wrong: int, neither: int) -> Interval:
    """The interval of a difference of two shares of the same images, the new less the old.

    Newcombe's method 10: the Wilson intervals of both shares, and their correlation (Newcombe,
    Statistics in Medicine 1998).

    Args:
        both: Images that both models have right.
        newly_right: Images that the new model alone has right.
        newly_wrong: Images that the old model alone has right.
        neither: Images that neither has right.
    """
    count = both + newly_right + newly_wrong + neither
    new, old = both + newly_right, both + newly_wrong
    new_share, old_share = new / count, old / count
    new_interval, old_interval = wilson(new, count), wilson(old, count)
    phi = _correlation(both, newly_right, newly_wrong, neither)

    def distance(of_new: float, of_old: float) -> float:
        return math.sqrt(max(0.0, of_new**2 - 2 * phi * of_new * of_old + of_old**2))

    difference = new_share - old_share
    down = distance(new_share - new_interval.low, old_interval.high - old_share)
    up = distance(new_interval.high - new_share, old_share - old_interval.low)
    return Interval(max(-1.0, difference - down), min(1.0, difference + up))


def _correlation(both: int, newly_right: int, newly_wrong: int, neither: int) -> float:
    """Newcombe's phi: a correction for continuity where it is positive, 0 for an empty margin."""
    margins = (
        (both + newly_right)
        * (newly_wrong + neither)
        * (both + newly_wrong)
        * (newly_right + neither)
    )
    if not margins:
        return 0.0
    product = both * neither - newly_right * newly_wrong
    count = both + newly_right + newly_wrong + neither
    corrected = max(product - count / 2, 0.0) if product > 0 else float(product)
    return corrected / math.sqrt(margins)


def bootstrap(
    values: Callable[[npt.NDArray[np.int64]], Sequence[float | None]],
    count: int,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Interval | None]:
    """The intervals of any numbers, by drawing images again and again (percentiles).

    Each image counts as often as a Poisson distribution of mean 1 says: the bootstrap of Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, in the form of Chamandy et al., Estimating
    Uncertainty for Massive Data Streams, 2012.

    Args:
        values: Of the images at these places, always as many; None for one that there is not.
        count: Number of images.
        replicates: How often images are drawn.
        seed: Of the random numbers.

    Returns:
        The interval of each; None where less than half of the draws have the number.
    """
    generator = np.random.default_rng(seed)
    places = np.arange(count)
    draws: list[Sequence[float | None]] = []
    while len(draws) < replicates:
        drawn = np.repeat(places, generator.poisson(1.0, count))
        if drawn.size:
            draws.append(values(drawn))
    return [_percentiles(of_one) for of_one in zip(*draws, strict=True)]


def _percentiles(draws: Sequence[float | None]) -> Interval | None:
    found = [value for value in draws if value is not None and math.isfinite(value)]
    if len(found) < len(draws) / 2:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high))
