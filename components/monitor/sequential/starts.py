"""When a change may have come: a weight for each window, of which there is no last.

Weights sum to 1, so that what is spent on all windows together is what one test has. They are 1 of
11 for the first window, and fall with the square of the window's number from some ten windows on:
a change in window 30 costs 14 times as much evidence as one in the first.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Numbers = TypeVar("Numbers", float, npt.NDArray[np.float64])

_SOON = 10


def start_weight(window: Numbers) -> Numbers:
    """The weight of a change in a window.

    Args:
        window: Which one, from 1; or an array of them.

    >>> round(start_weight(1), 4), round(start_weight(30), 4)
    (0.0909, 0.0064)
    """
    return _SOON / ((window + _SOON - 1) * (window + _SOON))


def later_weight(windows: int) -> float:
    """The weight of a change in any window after the first ones, or none.

    Args:
        windows: How many there are so far.

    >>> round(sum(start_weight(window) for window in range(1, 31)) + later_weight(30), 12)
    1.0
    """
    return _SOON / (windows + _SOON)
