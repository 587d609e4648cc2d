"""Settings of what to label next."""

from typing import Self

import pydantic

from darkroom.settings import Settings


class ReasonShares(Settings):
    """Shares of the budget by reason; they need not sum to 1, and 0 leaves a reason out.

    What a reason has too few photographs for goes to the others.
    """

    uncertain: float = pydantic.Field(default=0.6, ge=0)
    """Photographs that the model is unsure of, each unlike the others."""
    near_threshold: float = pydantic.Field(default=0.1, ge=0)
    """Photographs next to a decision: the two likeliest labels as likely, or, where photographs
    have several labels, a probability at its threshold."""
    mislabelled: float = pydantic.Field(default=0.2, ge=0)
    """Photographs whose label is likely wrong, of those that have one."""
    unlike_known: float = pydantic.Field(default=0.1, ge=0)
    """Photographs farther from the reference than 99 % of the reference is from itself."""

    @pydantic.model_validator(mode="after")
    def _some_reason(self) -> Self:
        if not any(value for _, value in self):
            raise ValueError("one of the shares must be above 0")
        return self


class PseudoLabelSettings(Settings):
    """Which photographs get the label that the model gives them."""

    threshold: float = pydantic.Field(default=0.5, gt=0, le=1)
    """The least probability of the label. `python -m benchmarks noisy_student` chose it; higher
    where the photographs are unlike those that the model was trained on."""
    per_label: int = pydantic.Field(default=10_000, ge=1)
    """Photographs of a label, at most: those that the model is surest of."""
    imbalance: float = pydantic.Field(default=2.0, ge=1)
    """How many times as many a label may have as the label with the fewest."""
    pass_columns: tuple[str, ...] = ()
    """Columns of the predictions that the table has too, such as that of `ingest.group_by`."""


class LabellingSettings(Settings):
    """What a person is asked to label next."""

    budget: int = pydantic.Field(default=100, ge=1)
    """Photographs to label, at most."""
    shares: ReasonShares = ReasonShares()
    """For which reasons."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Of the choice: the same predictions and seed give the same photographs."""
    document_root: str | None = None
    """The folder that Label Studio shows local photographs from, its
    `LOCAL_FILES_DOCUMENT_ROOT`. Unset: photographs are URIs, which it reads itself."""
