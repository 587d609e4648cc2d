"""Where accuracy may lie: over a floor, or no farther below the test split's than is let pass.

Whether it has changed at all, `changed_share` tells. A floor is tested by bets on each photograph
whose label is known. Labels that come sooner for some photographs than for others (mistakes that
customers report) say nothing of the rest.
"""

import math

import numpy as np
import numpy.typing as npt

from components.monitor.sequential.evidence import FRACTIONS
from components.monitor.sequential.starts import later_weight, start_weight
from darkroom.anytime import Interval


def over_floor(floor: float) -> Interval:
    """Accuracy that is at least a floor; it needs no reference.

    Args:
        floor: From 0 to 1.

    A floor of 0.9, and 150 of 200 right:

    >>> from components.monitor.sequential.evidence import Evidence, add_window
    >>> looked = add_window(Evidence(), [0, 1], over_floor(0.9), counts=[50, 150])
    >>> looked.e_value > 200
    True
    """
    return Interval(floor, 1.0)


def not_fallen(right: int, count: int, fall: float, error: float) -> Interval:
    """Accuracy that has not fallen by more than is let pass.

    The lower end of the exact interval of Clopper and Pearson, Biometrika 1934, of SciPy, less the
    fall.

    Args:
        right: Photographs of the test split that the model has right.
        count: All of them; at least 1.
        fall: What is let pass, such as 0.02 for two points.
        error: Probability that the model's true accuracy was lower than the range says.

    >>> low, high = not_fallen(900, 1000, 0.02, error=0.001)
    >>> round(low, 3), high
    (0.847, 1.0)
    """
    from scipy.stats import binomtest

    interval = binomtest(right, count, alternative="greater").proportion_ci(1 - error, "exact")
    return over_floor(max(0.0, float(interval.low) - fall))


def floor_evidence(floor: float, windows: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The evidence that accuracy is below a floor, after each window.

    What `add_window` bets, computed from the counts: those who start to bet in a window bet on
    every photograph from then on. Windows without a label count as windows, so labels that come
    late, to whichever windows and in whichever order, are bet on as they come, and the wealth is an
    e-process all the same.

    Args:
        floor: From 0 to 1, both left out.
        windows: Photographs of each window that are answered rightly, and all that have a label,
            [W, 2].

    Returns:
        The natural logarithm of the e-value after each window, float64 [W].

    >>> floor_evidence(0.9, [(150, 200)])[-1] > math.log(200)
    True
    >>> floor_evidence(0.9, [(185, 200)])[-1] < 0
    True
    """
    right, total = np.asarray(windows, np.float64).reshape(-1, 2).T
    fractions = np.array(FRACTIONS)
    growth = np.outer(total - right, np.log1p(fractions * floor / (1 - floor)))
    growth += np.outer(right, np.log1p(-fractions))
    bets = np.full(len(fractions), -np.inf)
    found = np.empty(len(right))
    for place, grown in enumerate(growth):
        bets = np.logaddexp(bets, math.log(start_weight(place + 1.0) / len(fractions))) + grown
        cash = math.log(later_weight(place + 1))
        found[place] = np.logaddexp(np.logaddexp.reduce(bets), cash)
    return found
