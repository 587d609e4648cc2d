"""Where accuracy may lie: over a floor, or no farther below the test split's than is let pass.

Whether it has changed at all, `changed_share` tells. A floor is tested by `add_window`, with the
answers whose labels came since the last look, of whichever windows, each once. Labels that come
sooner for some photographs than for others (mistakes that customers report) say nothing of the
rest.
"""

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
