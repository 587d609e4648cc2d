"""Tests of two models that may be looked at again and again.

A pipeline that retrains every week asks every week, and a canary is watched as its labels come. A
test of 5 % that is asked often enough says "better" of any two equal models. What is here holds
its error rate over all looks together: the chance that it ever says so of a pair of equal models,
however often one looks at them as images are added, is at most 5 %.
Evaluate compares answers to the same images; a canary gets other requests than the version beside
it, and their rates are compared.
"""

import math
from typing import NamedTuple

CONFIDENCE = 0.95
_PRIOR = 5.0
"""Of the mixture over how the discordant images fall: most pairs of models are near each other."""
_NARROWEST_AT = 1000
"""Images at which the interval is as narrow as it can be; stated before any is seen."""


class Interval(NamedTuple):
    """Where a number lies with 95 % confidence, or another where that is said."""

    low: float
    high: float


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


def rate_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a rate, valid at every look; exact.

    It holds the rates against which nobody who bets by a Beta mixture has become rich (the
    confidence sequence of Robbins 1970, as `always_valid`'s p-value).

    Args:
        hits: How often it happened.
        count: How often it could have.
        confidence: That it holds the true rate at all looks together.

    >>> [round(limit, 3) for limit in rate_interval(0, 1000)]
    [0.0, 0.007]
    >>> [round(limit, 2) for limit in rate_interval(1, 3)]
    [0.0, 0.94]
    """
    if not count:
        return Interval(0.0, 1.0)
    low, rest = (_least_rate(each, count, confidence) for each in (hits, count - hits))
    return Interval(low, 1 - rest)


def _least_rate(hits: int, count: int, confidence: float) -> float:
    """The lower end of a rate's interval."""
    from scipy.optimize import brentq

    if hits == 0:
        return 0.0
    riches = math.log(1 / (1 - confidence))
    wealth = _log_beta(0.5 + hits, 0.5 + count - hits) - _log_beta(0.5, 0.5)

    def left_to_gain(rate: float) -> float:
        return riches - wealth + hits * math.log(rate) + (count - hits) * math.log1p(-rate)

    return float(brentq(left_to_gain, 1e-300, hits / count * (1 - 1e-12)))


def rate_difference(hits: int, count: int, other_hits: int, other_count: int) -> Interval:
    """The interval of a rate less another one of other requests, valid at every look.

    Each rate's interval has half of the error, so that the difference needs no assumption on how
    the two come to their requests.

    Args:
        hits: How often it happened.
        count: How often it could have.
        other_hits: The same of the rate that is taken away.
        other_count: How often that could have.
    """
    each = 1 - (1 - CONFIDENCE) / 2
    one = rate_interval(hits, count, each)
    other = rate_interval(other_hits, other_count, each)
    return Interval(one.low - other.high, one.high - other.low)


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
