"""A check of a canary: how much worse than the version that serves it may be, and what is known."""

import dataclasses
import enum

import pydantic

from darkroom.anytime import CONFIDENCE, Interval
from darkroom.settings import Settings


class CanaryLimits(Settings):
    """How much worse than the version that serves a canary may be and still take its place."""

    error_increase: float = pydantic.Field(default=0.01, gt=0, lt=1)
    """By how much the share of requests that end with an error of the server may be higher."""

    slowdown: float = pydantic.Field(default=1.5, ge=1)
    """In how many times the 95th percentile of the version that serves 95 % of the canary's answers
    must come; rounded up to the next bound of the server's histogram."""

    accuracy_loss: float = pydantic.Field(default=0.02, gt=0, lt=1)
    """By how much the accuracy on labelled photographs may be lower."""


class Finding(enum.StrEnum):
    """What a check has found."""

    PASSES = "passes"
    FAILS = "fails"
    UNDECIDED = "not decided yet"


@dataclasses.dataclass(frozen=True)
class Check:
    """What was looked at, and what it says.

    Attributes:
        name: What was looked at.
        finding: What it says of the canary.
        figures: The figures with their limit, in words.
    """

    name: str
    finding: Finding
    figures: str

    def in_words(self) -> str:
        """One line, such as `errors: 0 of 900 requests ...: passes`."""
        return f"{self.name}: {self.figures}: {self.finding}"


def held_to(name: str, figures: str, worse_by: Interval, limit: float) -> Check:
    """A check by an interval: nothing is decided while that holds the limit.

    Args:
        name: What was looked at.
        figures: What was counted, in words.
        worse_by: By how much the canary is worse, as an interval that is valid at every look; a
            share.
        limit: By how much it may be.
    """
    finding = Finding.UNDECIDED
    if worse_by.high <= limit:
        finding = Finding.PASSES
    elif worse_by.low > limit:
        finding = Finding.FAILS
    ends = f"{worse_by.low * 100:.2g} to {worse_by.high * 100:.2g} points worse"
    level = f"with {CONFIDENCE * 100:g} % confidence"
    return Check(name, finding, f"{figures}; {ends} {level}, at most {limit * 100:g}")
