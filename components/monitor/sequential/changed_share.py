"""The evidence that a share has changed, since the reference or since any window after it.

A reference of 300 photographs knows a share to some 5 points. A test against the share as it
happened to be there would alarm one day, though nothing has changed: with enough photographs any
such difference shows. Here the share that nothing has changed from is not known: it is whatever
explains the reference and all windows best. Each window that has not changed makes it better known.

Who says that there is a change pays for each claim of when it came, and to what. Their likelihood,
averaged over all such claims, exceeds 1 / error times that of the best single share with a
probability of at most `error`, ever, whatever the share: it is an e-process (Wasserman, Ramdas and
Balakrishnan, Universal inference, PNAS 2020; Ramdas, Ruf, Larsson and Koolen, Testing
exchangeability: fork-convexity, supermartingales and e-processes, 2022). It is looked at in every
window, and computed from the counts alone: a window that is counted again changes nothing.

What it takes for granted: photographs come one after the other, each with the same chance, whatever
came before. Those that come in bursts (two hundred of one shop's roses) have not: count one of each
burst. Of lives of 30 windows of 500 that came by twos, 0.005 had a false alarm at 1 %, and of those
that came by fives, 0.54.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.monitor.sequential.starts import later_weight, start_weight

Floats = npt.NDArray[np.float64]

_TIED = 20.0
"""How many photographs it takes to believe in a share after a change that is far from that before
it; changes of 5 to 15 points are found soonest."""


class Counted(NamedTuple):
    """How many photographs have something.

    Attributes:
        hits: Those that have it.
        total: All of them.
    """

    hits: int
    total: int


class ChangedShare(NamedTuple):
    """What is known of a change.

    Attributes:
        log_e_value: The natural logarithm of the evidence: below 0 while nothing speaks for it.
        since: The window, from 0, since which the share has most likely been another one.
        before: The share before it, in the reference and all windows; not a number without any.
        after: The share since.
    """

    log_e_value: float
    since: int
    before: float
    after: float

    @property
    def e_value(self) -> float:
        """The evidence; 1 or less on average while nothing changes."""
        return math.exp(min(self.log_e_value, 700.0))


def changed_share(reference: Counted, windows: Sequence[Counted] | Floats) -> ChangedShare | None:
    """The evidence in all windows so far.

    To restart is to count from a later window on, or with another reference, such as windows
    that people have accepted.

    Args:
        reference: Counts of the reference.
        windows: Those of each window, in order; as an array, [W, 2].

    Returns:
        None if there is no photograph in any window.

    Raises:
        ValueError: A count is below 0, or there are more hits than photographs.

    A share of 0.2 in a reference of 1000; 0.2 in ten windows of 100, and 0.4 in two more:

    >>> windows = [Counted(20, 100)] * 10
    >>> found = changed_share(Counted(200, 1000), [*windows, Counted(40, 100), Counted(40, 100)])
    >>> found.e_value > 200, found.since, found.before, found.after
    (True, 10, 0.2, 0.4)
    >>> changed_share(Counted(200, 1000), windows).e_value < 1
    True
    """
    table = np.asarray(windows, np.float64).reshape(-1, 2)
    start = np.asarray(reference, np.float64)
    counts = np.vstack([start, table])
    hits, total = counts.T
    for wrong in counts[~((hits >= 0) & (hits <= total))]:
        raise ValueError("{:g} of {:g} photographs cannot be counted".format(*wrong))
    (places,) = np.nonzero(table[:, 1])
    if not places.size:
        return None
    sums = start + np.concatenate([np.zeros((1, 2)), np.cumsum(table[places], axis=0)])
    before, all_ = sums[:-1], sums[-1]
    after = all_ - before
    none_yet = math.log(later_weight(len(before))) + _mixed(*all_)
    claims = np.append(_claims(before, after), none_yet)
    since = int(claims[:-1].argmax())
    return ChangedShare(
        float(np.logaddexp.reduce(claims) - _best(*all_)),
        int(places[since]),
        float(before[since, 0] / before[since, 1]) if before[since, 1] else math.nan,
        float(after[since, 0] / after[since, 1]),
    )


def _claims(before: Floats, after: Floats) -> Floats:
    """The log likelihood of a change in each window, each by its weight."""
    weights = start_weight(np.arange(1.0, len(before) + 1))
    hits, total = before.T
    share = (hits + 0.5) / (total + 1)
    changed = _mixed(after[:, 0], after[:, 1], 0.5 + _TIED * share, 0.5 + _TIED * (1 - share))
    found: Floats = _mixed(hits, total) + changed + np.log(weights)
    return found


def _mixed(
    hits: npt.ArrayLike,
    total: npt.ArrayLike,
    prior: npt.ArrayLike = 0.5,
    other: npt.ArrayLike = 0.5,
) -> Floats:
    """The log likelihood of counts, averaged over shares by a Beta distribution."""
    from scipy.special import betaln

    missed = np.subtract(total, hits)
    found: Floats = betaln(np.add(prior, hits), np.add(other, missed)) - betaln(prior, other)
    return found


def _best(hits: float, total: float) -> float:
    """The log likelihood of counts by the share that explains them best."""
    from scipy.special import xlogy

    missed = total - hits
    return float(xlogy(hits, hits / total) + xlogy(missed, missed / total))
