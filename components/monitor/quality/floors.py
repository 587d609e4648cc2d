"""Accuracy under a floor, by bets on each photograph whose label is known.

A floor needs no reference; whether accuracy has changed, `changed_share` tells. Labels that come
sooner for some photographs than for others (mistakes that
customers report) say nothing of the rest.
"""

import math

import numpy as np
import numpy.typing as npt

from components.monitor.sequential.evidence import FRACTIONS
from components.monitor.sequential.starts import later_weight, start_weight
from darkroom.anytime import Interval


def over_floor(floor: float) -> Interval:
    """Accuracy that is at least a floor: what `add_window` is to bet against.

    Args:
        floor: From 0 to 1.
    """
    return Interval(floor, 1.0)


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

    >>> floor_evidence(0.9, [(150, 200)])[-1].round(1).item()
    13.3
    >>> floor_evidence(0.9, [(185, 200)])[-1].round(1).item()
    -0.1
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
