"""The evidence that a mean has left its range, window after window.

Who doubts that a mean lies where it is allowed bets on each photograph, at odds that are fair or
worse for them as long as it does. Their wealth, of 1 at the start, then exceeds 1 / error with a
probability of at most `error`, ever: it is an e-process, which may be looked at in every window
(Ville 1939; Ramdas et al., Game-theoretic statistics and safe anytime-valid inference, Statistical
Science 2023). A change may come late, when older bets are long lost. So some cash is kept back, and
in each window a part of it starts new bets (a mixture over the windows in which a change may come,
as in Shin, Ramdas and Rinaldo, E-detectors, 2023, here with weights that sum to 1, which bounds the
false alarms of the whole life rather than how often they come).

What it takes for granted: of photographs that come one after the other, each has a mean in the
range, whatever came before. Photographs that come in bursts (two hundred of one shop's roses) have
not: take one of each burst.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.monitor.sequential.starts import later_weight, start_weight
from darkroom.anytime import Interval

FRACTIONS = tuple(0.9 * 0.5**power for power in range(8))
"""Of the most that may be bet on a photograph: each gets an equal part of the cash, so that none
must be chosen (the diversified Kelly bets of Waudby-Smith and Ramdas 2024)."""
_NOTHING = -700.0
"""The logarithm of what is as good as nothing; JSON has no infinity."""


class Evidence(NamedTuple):
    """What has been won against one claim; JSON values, to be kept.

    Attributes:
        windows: How many windows had values.
        up: The logarithm of the wealth of each of `FRACTIONS`, bet on a mean above the range.
        down: The same of bets on a mean below it.
    """

    windows: int = 0
    up: tuple[float, ...] = (_NOTHING,) * len(FRACTIONS)
    down: tuple[float, ...] = (_NOTHING,) * len(FRACTIONS)

    @property
    def log_e_value(self) -> float:
        """The natural logarithm of `e_value`, which may be too large for a float."""
        cash = math.log(later_weight(self.windows))
        return float(np.logaddexp.reduce([cash, *self.up, *self.down]))

    @property
    def e_value(self) -> float:
        """The wealth: 1 at the start, and 1 or less on average while nothing changes."""
        return math.exp(min(self.log_e_value, 700.0))

    @classmethod
    def from_json(cls, document: Any) -> "Evidence":
        """Reads what JSON makes of one: a list of three.

        >>> import json
        >>> Evidence.from_json(json.loads(json.dumps(Evidence(3)))) == Evidence(3)
        True
        """
        windows, up, down = document
        return cls(int(windows), tuple(up), tuple(down))


def add_window(
    evidence: Evidence,
    values: npt.ArrayLike,
    allowed: Interval,
    counts: npt.ArrayLike | None = None,
) -> Evidence:
    """The evidence with one more window.

    The same values in any order give the same evidence, and nothing is changed in place: a window
    that is read again is added to the evidence from before it. `Evidence()` is none yet.

    Args:
        evidence: That of the windows before.
        values: Of the window's photographs, from 0 to 1, [N]; none leave the evidence as it is.
        allowed: Where their mean may lie; anywhere leaves the evidence as it is. It may differ from
            window to window, as long as it follows from what was known before this one.
        counts: How often each value came, [N]; once each if left out.

    Raises:
        ValueError: A value is not from 0 to 1.

    A share that may lie between 0.15 and 0.25, and was 0.4 in a window of 200:

    >>> found = add_window(Evidence(), [0, 1], Interval(0.15, 0.25), counts=[120, 80])
    >>> found.e_value > 200
    True
    >>> add_window(Evidence(), [0, 1], Interval(0.15, 0.25), counts=[160, 40]).e_value < 1
    True
    """
    x = np.asarray(values, np.float64)
    n = np.ones_like(x) if counts is None else np.asarray(counts, np.float64)
    if not ((x >= 0) & (x <= 1)).all():
        raise ValueError("values of a bounded mean must be from 0 to 1")
    sides = (allowed.high < 1) + (allowed.low > 0)
    if not n.sum() or not sides:
        return evidence
    window = evidence.windows + 1
    fresh = math.log(start_weight(window) / sides / len(FRACTIONS))
    up = list(log_growth(x, n, allowed.high))
    down = list(log_growth(1 - x, n, 1 - allowed.low))
    return Evidence(
        window,
        _bet(evidence.up, fresh if allowed.high < 1 else _NOTHING, up),
        _bet(evidence.down, fresh if allowed.low > 0 else _NOTHING, down),
    )


def log_growth(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], mean: float
) -> Iterator[float]:
    """By how much bets on a larger mean grow: the product of 1 + fraction * (value / mean - 1).

    The capital process of Waudby-Smith and Ramdas, Estimating means of bounded random variables by
    betting, Journal of the Royal Statistical Society B 2024, section 4: the product of
    1 + bet * (value - mean), with the bet a fraction of 1 / mean, the most that cannot be lost.

    Args:
        values: From 0 to 1, [N].
        counts: How often each came, [N].
        mean: The largest that is allowed.

    Yields:
        The natural logarithm for each of `FRACTIONS`.
    """
    gains = values / max(mean, 1e-12) - 1
    for fraction in FRACTIONS:
        yield float(counts @ np.log1p(fraction * gains))


def _bet(before: tuple[float, ...], fresh: float, growth: list[float]) -> tuple[float, ...]:
    return tuple(
        max(_NOTHING, float(np.logaddexp(had, fresh)) + grown)
        for had, grown in zip(before, growth, strict=True)
    )
