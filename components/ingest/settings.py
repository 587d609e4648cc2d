"""Settings of the ingest step."""

from typing import Self

import pydantic

from components.artifacts.examples import FEATURE_TYPES
from components.artifacts.settings import Settings


class SplitRatios(Settings):
    """Shares of the photographs by split; they need not sum to 1."""

    train: float = pydantic.Field(default=0.8, gt=0)
    """Share to fit on."""
    valid: float = pydantic.Field(default=0.1, gt=0)
    """Share to choose the best epoch on."""
    test: float = pydantic.Field(default=0.1, gt=0)
    """Share to evaluate on."""


class IngestSettings(Settings):
    """How photographs become split examples."""

    split: SplitRatios = SplitRatios()
    """Shares of train, valid and test."""
    salt: str = "darkroom"
    """Mixed into the hash that decides a photograph's split: another salt, another split."""
    group_by: str | None = None
    """Column whose equal values stay in one split, such as `patient`."""
    labels: tuple[str, ...] | None = None
    """The labels there may be; rows with another label are rejected. Unset: all that occur."""
    max_rejected: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Fraction of rows that may be rejected before the step fails."""
    beam_options: tuple[str, ...] = ()
    """Options for Beam in its own spelling, such as `--runner=DataflowRunner`."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.labels is not None and len(set(self.labels)) < 2:
            raise ValueError("labels names fewer than two labels")
        if self.group_by in FEATURE_TYPES:
            raise ValueError(f"group_by must name an extra column, not '{self.group_by}'")
        return self
