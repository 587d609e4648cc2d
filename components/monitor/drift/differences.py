"""How far a window is from the reference, in figures that people know.

They are reported, and alarm nobody: a p-value that is looked at in every window falls below 0.05
one day, and an index such as the PSI has no error rate at all. `corrected` says what a p-value is
worth beside all the others of a model's life.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.monitor.sequential.starts import start_weight


class CountDifference(NamedTuple):
    """Counts of a window beside those of the reference.

    Attributes:
        psi: Population stability index; people call 0.1 a change, and 0.25 a large one.
        jensen_shannon: Jensen-Shannon distance to the base 2, from 0 to 1.
        total_variation: Half the sum of the absolute differences of the shares, from 0 to 1.
        chi_square: Pearson's statistic.
        p_value: Of it, for one look.
    """

    psi: float
    jensen_shannon: float
    total_variation: float
    chi_square: float
    p_value: float


class ValueDifference(NamedTuple):
    """Values of a window beside those of the reference.

    Attributes:
        ks: The statistic of Kolmogorov and Smirnov, from 0 to 1.
        p_value: Of it, for one look.
    """

    ks: float
    p_value: float


def compare_counts(window: npt.ArrayLike, reference: npt.ArrayLike) -> CountDifference:
    """Counts by label, format or bin, beside those of the reference.

    The PSI is the sum of both Kullback-Leibler divergences, of shares with half a photograph more
    in each cell, as an empty one has no logarithm (Yurdakul, Statistical properties of population
    stability index, 2018); the others are SciPy's `jensenshannon` and `chi2_contingency`.

    Args:
        window: Photographs in each cell, [K].
        reference: The same of the reference, [K].

    Raises:
        ValueError: Either has no photograph.

    >>> found = compare_counts([30, 70], [500, 500])
    >>> round(found.total_variation, 3), round(found.psi, 3)
    (0.2, 0.166)
    """
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import chi2_contingency, entropy

    table = np.asarray([window, reference], np.float64)
    if not table.sum(axis=1).all():
        raise ValueError("counts of no photograph cannot be compared")
    new, old = table / table.sum(axis=1, keepdims=True)
    filled, filled_old = table + 0.5
    psi = entropy(filled, filled_old) + entropy(filled_old, filled)
    seen = table[:, table.any(axis=0)]
    statistic, p_value = 0.0, 1.0
    if seen.shape[1] > 1:
        tested = chi2_contingency(seen, correction=False)
        statistic, p_value = float(tested.statistic), float(tested.pvalue)
    distance = float(jensenshannon(new, old, base=2))
    return CountDifference(
        float(psi),
        0.0 if math.isnan(distance) else distance,  # SciPy's root of a hair below 0
        float(np.abs(new - old).sum() / 2),
        statistic,
        p_value,
    )


def compare_values(window: npt.ArrayLike, reference: npt.ArrayLike) -> ValueDifference:
    """Values such as brightness, beside those of the reference: SciPy's `ks_2samp`.

    Args:
        window: [N], at least one.
        reference: [M], at least one.

    >>> compare_values([1, 2, 3], [1, 2, 3])
    ValueDifference(ks=0.0, p_value=1.0)
    """
    from scipy.stats import ks_2samp

    found = ks_2samp(window, reference, method="asymp")
    return ValueDifference(float(found.statistic), float(found.pvalue))


def corrected(p_value: float, window: int, tests: int) -> float:
    """A window's p-value beside those of all other windows and tests.

    Bonferroni's correction, with a window's part of the error as `start_weight` gives it, so
    that however many windows come, the chance that any is below 0.01 is at most 0.01.

    Args:
        p_value: For one look.
        window: Which window it is, from 1.
        tests: How many tests each window has.

    >>> round(corrected(0.0001, window=3, tests=5), 6)
    0.0078
    """
    return min(1.0, p_value * tests / start_weight(window))
