"""Where accuracy may lie: over a floor, or no farther below the reference than a stated fall.

Labels come late. A look at accuracy takes those that came since the last look, of whichever
windows, each once; `add_window` then counts looks. Labels that come sooner for some photographs
than for others (mistakes that customers report) say nothing of the rest.
"""

from components.monitor.sequential.ranges import share_range
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


def not_fallen(right: int, count: int, error: float, fall: float = 0.0) -> Interval:
    """Accuracy that has not fallen by more than is let pass.

    Args:
        right: Photographs of the test split that the model has right.
        count: All of them; at least 1.
        error: Probability that its true accuracy is lower than the range says.
        fall: What is let pass, such as 0.02 for two points.

    >>> low, high = not_fallen(900, 1000, 0.001, fall=0.02)
    >>> round(low, 3), high
    (0.847, 1.0)
    """
    # Only one end is used, so that it may have the error of both.
    return over_floor(max(0.0, share_range(right, count, 2 * error).low - fall))
