"""A test of two models that may be looked at again and again.

A pipeline that retrains every week asks every week, and a canary is watched as its labels come. A
test of 5 % that is asked often enough says "better" of any two equal models. What is here holds
its error rate over all looks together: the chance that it ever says so of a pair of equal models,
however often one looks at them as images are added, is at most 5 %.
"""

import math
from typing import NamedTuple

from components.evaluate.intervals import CONFIDENCE, Interval

_PRIOR = 5.0
"""Of the mixture over how the discordant images fall: most pairs of models are near each other."""
_NARROWEST_AT = 1000
"""Images at which the interval is as narrow as it can be; stated before any is seen."""


class AlwaysValid(NamedTuple):
    """A difference in accuracy, whatever the number of looks.

    Attributes:
        p_value: Of models that are equally good.
        interval: Of the difference, the new model's accuracy less the old one's.
    """

    p_value: float
    interval: Interval


def always_valid(newly_right: int, newly_wrong: int, count: int) -> AlwaysValid:
    """The difference in accuracy of two models on the same images, valid at every look.

    It asks for some half more images than a test that is looked at once.

    Args:
        newly_right: Images that the new model alone has right.
        newly_wrong: Images that the old model alone has right.
        count: All images.

    >>> always_valid(30, 5, 400).p_value < 0.01
    True
    >>> always_valid(3, 3, 100).p_value
    1.0
    """
    return AlwaysValid(
        _p_value(newly_right, newly_wrong), _interval(newly_right, newly_wrong, count)
    )


def _p_value(newly_right: int, newly_wrong: int) -> float:
    """Exact: one over the wealth of who bets on the discordant images.

    Of equal models each is either's with probability 0.5. Betting by a Beta mixture makes a
    martingale of the wealth, which exceeds 20 with a probability of 0.05 at most, ever (Robbins,
    Annals of Mathematical Statistics 1970; Ramdas et al., Statistical Science 2023).
    """
    discordant = newly_right + newly_wrong
    wealth = (
        _log_beta(_PRIOR + newly_right, _PRIOR + newly_wrong)
        - _log_beta(_PRIOR, _PRIOR)
        + discordant * math.log(2)
    )
    return math.exp(-wealth) if wealth > 0 else 1.0


def _interval(newly_right: int, newly_wrong: int, count: int) -> Interval:
    """The asymptotic confidence sequence of the mean difference.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and
    asymptotic confidence sequences, Annals of Statistics 2024, theorem 2.2.
    """
    gain = (newly_right - newly_wrong) / count
    # With one discordant image of each kind more, so that a few images do not look sure.
    spread = (newly_right + newly_wrong + 2) / (count + 2) - (gain * count / (count + 2)) ** 2
    error = 1 - CONFIDENCE
    narrow = -2 * math.log(error)
    scale = (narrow + math.log(narrow + 1)) / _NARROWEST_AT
    grown = count * scale + 1
    width = math.sqrt(spread * 2 * grown / (count**2 * scale) * math.log(math.sqrt(grown) / error))
    return Interval(max(-1.0, gain - width), min(1.0, gain + width))


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)
