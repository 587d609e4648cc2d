"""What is tested of a window beside the reference: each test's values, and their range.

    for look, window in enumerate(windows, 1):
        observed = observe(window, reference, shares, rate, direction, look)
        evidence |= {test: add_window(evidence[test], *seen) for test, seen in observed.items()}
        direction = fit_direction(EMBEDDINGS_OF_THE_LAST_WINDOWS, reference.fitted)

A slice is tested as a window and a reference of its own.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.monitor.drift.domain import ranks_along
from components.monitor.drift.ranks import Distribution
from components.monitor.sequential.alarms import RATE, reference_error
from components.monitor.sequential.ranges import rank_range, share_range, widened
from darkroom.anytime import Interval

EMBEDDING = "embedding"
LABEL = "label"


@dataclasses.dataclass(frozen=True)
class Reference:
    """What windows are compared with.

    Attributes:
        count: Photographs of the valid split.
        labels: How many of them each label was given to by the model.
        measures: How other measures are distributed, by name: confidence and entropy in the valid
            split, brightness and sharpness as ingest counted them.
        fitted: Embeddings that classifiers are fitted on, [M, D]; None without embeddings.
        held_out: Others, that they are judged on, [M, D].
    """

    count: int
    labels: Mapping[str, int]
    measures: Mapping[str, Distribution]
    fitted: npt.ArrayLike | None = None
    held_out: npt.ArrayLike | None = None

    @property
    def families(self) -> dict[str, Sequence[str]]:
        """Its tests by family, as `shares` takes them."""
        by_label = {LABEL: [f"{LABEL}={label}" for label in self.labels]}
        embedding = {} if self.held_out is None else {EMBEDDING: [EMBEDDING]}
        return by_label | {name: [name] for name in self.measures} | embedding


@dataclasses.dataclass(frozen=True)
class Window:
    """What a window holds.

    Attributes:
        count: Answers.
        labels: How many of them each label was given to; those that are not named were given none.
        measures: Values by name, [N] each; those that are not a number are left out.
        embeddings: [N, D]; None without.
    """

    count: int
    labels: Mapping[str, int]
    measures: Mapping[str, npt.ArrayLike]
    embeddings: npt.ArrayLike | None = None


class Observed(NamedTuple):
    """What a test sees of a window: the arguments of `add_window`.

    Attributes:
        values: From 0 to 1, [N].
        allowed: Where their mean may lie.
        counts: How often each value came, [N]; None for once each.
    """

    values: npt.ArrayLike
    allowed: Interval
    counts: npt.ArrayLike | None = None


def observe(
    window: Window,
    reference: Reference,
    shares: Mapping[str, float],
    rate: float = RATE,
    direction: npt.ArrayLike | None = None,
    look: int = 1,
    tolerance: float = 0.0,
) -> dict[str, Observed]:
    """What each test sees of a window.

    Args:
        window: The window.
        reference: The reference.
        shares: Of each test, as `shares` gives them.
        rate: Of false alarms over the life.
        direction: What `fit_direction` found before this window; None if there is none yet.
        look: Which window this is since the start, from 1.
        tolerance: A change of any share or mean rank that does not matter.

    Returns:
        By test. One of which the window holds nothing is left out.
    """
    found: dict[str, Observed] = {}
    for label, hits in reference.labels.items() if window.count else ():
        test = f"{LABEL}={label}"
        given = window.labels.get(label, 0)
        allowed = share_range(hits, reference.count, reference_error(shares[test], rate))
        found[test] = Observed([0, 1], allowed, [window.count - given, given])
    for name, distribution in reference.measures.items():
        values = np.asarray(window.measures.get(name, ()), np.float64)
        values = values[~np.isnan(values)]
        if values.size:
            allowed = rank_range(distribution.count, reference_error(shares[name], rate))
            found[name] = Observed(distribution.ranks(values), allowed)
    held_out = reference.held_out
    if held_out is not None and direction is not None and window.embeddings is not None:
        # Each classifier measures the part held out anew; only the upper end is used.
        error = 2 * reference_error(shares[EMBEDDING], rate, look)
        high = rank_range(len(np.asarray(held_out)), error).high
        ranks = ranks_along(direction, window.embeddings, held_out)
        found[EMBEDDING] = Observed(ranks, Interval(0.0, high))
    return {
        test: seen._replace(allowed=widened(seen.allowed, tolerance))
        for test, seen in found.items()
    }
