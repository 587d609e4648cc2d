"""Several raters' words on one photograph, made one: majority vote, and what if there is none."""

import dataclasses
import enum
from collections import Counter
from collections.abc import Sequence


class Disagreement(enum.StrEnum):
    """What becomes of a photograph on which the raters disagree."""

    DISCARD = "discard"
    """It is left out."""
    NEUTRAL = "neutral"
    """It gets the neutral label."""
    RATER = "rater"
    """It gets the further rater's label; without one it is left out."""


class Outcome(enum.StrEnum):
    """How a photograph came by its label, or why it has none."""

    AGREED = "agreed"
    NEUTRAL = "neutral"
    FURTHER_RATER = "further rater"
    DISCARDED = "discarded"
    UNRATED = "unrated"


@dataclasses.dataclass(frozen=True)
class Policy:
    """What to do on disagreement.

    Attributes:
        disagreement: Which way.
        neutral_label: The label to give, where the way is `neutral`.
    """

    disagreement: Disagreement = Disagreement.DISCARD
    neutral_label: str | None = None


def majority(votes: Sequence[str]) -> str | None:
    """The label of more than half of the votes; None if there is none.

    >>> majority(["rose", "tulip", "rose"])
    'rose'
    >>> majority(["rose", "tulip"]) is None
    True
    """
    if not votes:
        return None
    label, count = Counter(votes).most_common(1)[0]
    return label if 2 * count > len(votes) else None


def joined(
    votes: Sequence[str], policy: Policy, further_vote: str | None
) -> tuple[Outcome, str | None]:
    """The label that the raters' votes give a photograph.

    Args:
        votes: A label from each rater who gave one.
        policy: What to do on disagreement.
        further_vote: The further rater's label, heard on disagreement only.

    Returns:
        How it was decided, and the label; None where the photograph is left out.
    """
    if not votes:
        return Outcome.UNRATED, None
    label = majority(votes)
    if label is not None:
        return Outcome.AGREED, label
    if policy.disagreement is Disagreement.NEUTRAL:
        return Outcome.NEUTRAL, policy.neutral_label
    if policy.disagreement is Disagreement.RATER and further_vote is not None:
        return Outcome.FURTHER_RATER, further_vote
    return Outcome.DISCARDED, None
