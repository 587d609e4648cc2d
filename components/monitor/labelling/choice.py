"""The photographs that are worth a person's time, out of all that were predicted."""

import enum
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.monitor.drift.distance import (
    NEAREST,
    neighbour_distances,
    reference_distances,
    unit_length,
)
from components.monitor.labelling.distinct import Distinct
from components.monitor.labelling.diversity import draw_diverse
from components.monitor.labelling.pool import Pool
from components.monitor.labelling.settings import LabellingSettings, ReasonShares
from components.monitor.labelling.uncertainty import closeness, unsureness
from darkroom.label_errors import find_label_errors

Floats = npt.NDArray[np.float64]
Embeddings = npt.NDArray[np.float32]

REFERENCE = 5000
"""Photographs of the reference that distances are measured to; drawn from a larger one."""
_NEAR = 0.99
"""Of the reference, how much counts as near to itself."""


class Reason(enum.StrEnum):
    """Why a photograph is worth a label, in the order in which shares are filled."""

    MISLABELLED = "mislabelled"
    UNLIKE_KNOWN = "unlike_known"
    NEAR_THRESHOLD = "near_threshold"
    UNCERTAIN = "uncertain"


class Choice(NamedTuple):
    """A photograph to label.

    Attributes:
        place: Where it is in the pool.
        reason: Why.
        closeness: To another answer, from 0 to 1.
        unsureness: Of the model, from 0 to 1.
        distance: Of its embedding from the fifth nearest of the reference, both of length 1, from 0
            to 2; None without a reference.
    """

    place: int
    reason: Reason
    closeness: float
    unsureness: float
    distance: float | None

    @property
    def figures(self) -> dict[str, float]:
        """Its figures by name, rounded for people; the distance only where there is one."""
        found = {"closeness": self.closeness, "unsureness": self.unsureness}
        if self.distance is not None:
            found["distance"] = self.distance
        return {name: round(value, 4) for name, value in found.items()}


def choose(
    pool: Pool, settings: LabellingSettings, reference: Embeddings | None = None
) -> list[Choice]:
    """Chooses what to label next.

    Each reason has its share of the budget. What a reason has too few photographs for goes to those
    that the model is unsure of, and then to the other reasons. Photographs that have a label are
    chosen as likely mislabelled alone, which probabilities tell of a model that was not trained
    on them. No photograph is chosen twice, nor a near-duplicate of one that is chosen or, where it
    has no label itself, of one that has.

    Args:
        pool: The photographs, as `read_pool` reads them.
        settings: How many, and for which reasons.
        reference: Embeddings by the same model of the photographs that it was trained on, float32
            [M, D]; without at least 6 of them none is unlike all that is known.

    Returns:
        At most the budget, by reason; of each reason the most worth first.
    """
    known = pool.embeddings[:0] if reference is None else np.asarray(reference, np.float32)
    distances, far = _distances(pool, known, settings.seed)
    close, labelled = closeness(pool), pool.labelled
    distinct = Distinct(pool.embeddings, np.concatenate([known, pool.embeddings[labelled]]))
    ranked: dict[Reason, Callable[[], Iterable[int]]] = {
        Reason.MISLABELLED: lambda: _mislabelled(pool),
        Reason.UNLIKE_KNOWN: lambda: far,
        Reason.NEAR_THRESHOLD: lambda: _highest_first(close, ~labelled),
    }
    chosen: dict[int, Reason] = {}

    def fill(reason: Reason, count: int) -> None:
        def take(place: int) -> bool:
            taken = place not in chosen and distinct.take(place, reason != Reason.MISLABELLED)
            if taken:
                chosen[place] = reason
            return taken

        if reason == Reason.UNCERTAIN:
            lacking = np.where(labelled[:, None], 0, pool.answers - pool.probabilities)
            draw_diverse(lacking, pool.embeddings, count, settings.seed, take)
            return
        for place in ranked[reason]() if count else ():
            count -= take(place)
            if not count:
                break

    parts = divide(settings.budget, settings.shares)
    for reason in ranked:
        fill(reason, parts[reason])
    for reason in reversed(Reason):
        if getattr(settings.shares, reason):
            fill(reason, settings.budget - len(chosen))
    unsure = unsureness(pool)
    return [
        Choice(
            *(place, reason, float(close[place]), float(unsure[place])),
            None if distances is None else float(distances[place]),
        )
        for wanted in Reason
        for place, reason in chosen.items()
        if reason == wanted
    ]


def divide(budget: int, shares: ReasonShares) -> dict[Reason, int]:
    """Divides a budget among the reasons, whole, by the largest remainders.

    >>> [int(part) for part in divide(9, ReasonShares()).values()]
    [2, 1, 1, 5]
    """
    wanted = np.array([getattr(shares, reason) for reason in Reason], np.float64)
    exact = wanted / wanted.sum() * budget
    parts = np.floor(exact + 1e-9).astype(int)
    for place in np.argsort(parts - exact, kind="stable")[: budget - parts.sum()]:
        parts[place] += 1
    return dict(zip(Reason, parts.tolist(), strict=True))


def _highest_first(values: Floats, among: npt.NDArray[np.bool_]) -> list[int]:
    places = np.flatnonzero(among)
    found: list[int] = places[np.argsort(-values[places], kind="stable")].tolist()
    return found


def _distances(pool: Pool, known: Embeddings, seed: int) -> tuple[Floats | None, list[int]]:
    """Distances from the reference, and the places of those that are beyond it."""
    if len(known) <= NEAREST:
        return None, []
    if len(known) > REFERENCE:
        drawn = np.random.default_rng(seed).choice(len(known), REFERENCE, replace=False)
        known = known[drawn]
    known = unit_length(known)
    found = neighbour_distances(unit_length(pool.embeddings), known)
    limit = np.quantile(reference_distances(known), _NEAR, method="higher")
    return found, _highest_first(found, (found > limit) & ~pool.labelled)


def _mislabelled(pool: Pool) -> list[int]:
    several = pool.thresholds is not None
    count = pool.given.sum(axis=1)
    places = np.flatnonzero(count if several else count == 1)
    given = pool.given[places]
    found = find_label_errors(
        [np.flatnonzero(row).tolist() for row in given] if several else given.argmax(axis=1),
        pool.probabilities[places],
    )
    return [int(places[place]) for place in found]
