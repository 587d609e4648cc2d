"""The refused rows that the data card shows, chosen in one pass over all of them."""

import dataclasses
import heapq
from collections.abc import Iterable, Iterator

from darkroom.artifacts.rejected import Reason, Rejection

COMPARISONS = 24
EXAMPLES_A_REASON = 3

_ORDER = (Reason.CONFLICTING_LABELS, Reason.NEAR_DUPLICATE, Reason.DUPLICATE)


@dataclasses.dataclass(frozen=True)
class Samples:
    """Some refused rows.

    Attributes:
        refused: The first rows of each reason.
        copies: Copies to show beside what was kept. Near duplicates and conflicting labels come
            first, since they ask for a person's judgement; then duplicates that had other labels
            than what was kept.
    """

    refused: dict[str, list[Rejection]]
    copies: list[Rejection]


def sample(rejections: Iterable[Rejection]) -> Samples:
    """Chooses among refused rows, of which only the chosen are held."""
    refused: dict[str, list[Rejection]] = {}

    def noted() -> Iterator[Rejection]:
        for rejection in rejections:
            of_reason = refused.setdefault(rejection.reason, [])
            if len(of_reason) < EXAMPLES_A_REASON:
                of_reason.append(rejection)
            if rejection.reason in _ORDER:
                yield rejection

    copies = heapq.nsmallest(COMPARISONS, noted(), key=_order)
    return Samples(refused, copies)


def _order(copy: Rejection) -> tuple[int, bool]:
    return _ORDER.index(Reason(copy.reason)), "kept with the labels" not in copy.detail
