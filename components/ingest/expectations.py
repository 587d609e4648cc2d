"""Settings of what the photographs are expected to be like, and of what follows if they are not."""

from typing import Annotated, Any, Literal

import pydantic

from darkroom.settings import Settings


def _spelled_out(value: Any) -> Any:
    # YAML 1.1 reads a bare `off` as false.
    return "off" if value is False else value


Severity = Annotated[Literal["off", "warning", "error"], pydantic.BeforeValidator(_spelled_out)]


class Severities(Settings):
    """What follows a finding: `off` nothing, `warning` a log line, `error` the step fails."""

    new_label: Severity = "warning"
    """A label that is not among the expected ones."""
    vanished_label: Severity = "error"
    """An expected label that no photograph has: the next model could not give it any more."""
    label_share_moved: Severity = "warning"
    """A label's share of the photographs moved more than `maximum_share_change`."""
    brightness_moved: Severity = "warning"
    """The distribution of brightness moved more than `maximum_divergence.brightness`."""
    contrast_moved: Severity = "warning"
    """The distribution of contrast moved more than `maximum_divergence.contrast`."""
    sharpness_moved: Severity = "warning"
    """The distribution of sharpness moved more than `maximum_divergence.sharpness`."""
    aspect_moved: Severity = "warning"
    """The distribution of width over height moved more than `maximum_divergence.aspect`."""
    too_few_photographs: Severity = "warning"
    """A label has fewer photographs than `minimum_per_label`."""
    missing_from_split: Severity = "warning"
    """A label has photographs, but none in train, valid or test."""
    imbalance: Severity = "warning"
    """The largest label has more than `maximum_imbalance` times the photographs of the smallest."""


class Divergences(Settings):
    """Largest Jensen-Shannon divergence (base 2, 0 equal to 1 disjoint) from the previous run.

    By chance alone, two samples of n photographs from one source differ by about 5 / n.
    """

    brightness: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of mean grey values."""
    contrast: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of the standard deviation of grey values."""
    sharpness: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of the Laplacian's variance."""
    aspect: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of width over height."""


class ExpectationSettings(Settings):
    """What the photographs are compared with: a previous run, or a stated schema."""

    previous: str | None = None
    """The statistics artifact of an earlier run; labels and distributions are compared with it."""
    labels: tuple[str, ...] | None = None
    """The labels that are expected. Unset: those of `previous`. No row is rejected by this list;
    for that there is `ingest.labels`."""
    minimum_per_label: int = pydantic.Field(default=20, ge=0)
    """Fewest photographs a label, over all splits."""
    maximum_imbalance: float = pydantic.Field(default=10, ge=1)
    """Most photographs of the largest label for each one of the smallest."""
    maximum_share_change: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Most that any label's share may move from the previous run's (L-infinity)."""
    maximum_divergence: Divergences = Divergences()
    """How far each distribution may move from the previous run's."""
    severity: Severities = Severities()
    """What follows each finding."""
