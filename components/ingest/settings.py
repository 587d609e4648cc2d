"""Settings of the ingest step."""

from typing import Literal, Self

import pydantic

from components.artifacts.examples import FEATURE_TYPES
from components.artifacts.settings import Settings
from components.ingest.expectations import ExpectationSettings


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
    duplicates: Literal["reject", "keep"] = "reject"
    """What becomes of further copies, byte for byte, of a photograph with the same label."""
    near_duplicate_distance: int = pydantic.Field(default=4, ge=-1, le=16)
    """Bits of 64 in which the perceptual hashes of a photograph in train and one in valid or test
    may differ for them to be one photograph, which train then loses; -1 compares none."""
    max_pixels: int = pydantic.Field(default=100_000_000, ge=1)
    """Photographs of more pixels are rejected by their header, before memory is taken for them."""
    max_aspect: float = pydantic.Field(default=50.0, ge=1)
    """Photographs whose longer side is more than so many times the shorter are rejected."""
    previous: str | None = None
    """Examples of an earlier run: only photographs that are new since are read and decoded. The
    examples are those of a full run."""
    image_column: str = pydantic.Field(default="image", min_length=1)
    """The column of a table, or the name in JSON Lines, that holds the image path or URI."""
    label_column: str = pydantic.Field(default="label", min_length=1)
    """The column, or the name, that holds the label; in JSON Lines it may be a list of labels."""
    label_separator: str | None = pydantic.Field(default=None, min_length=1)
    """Splits the label column into several labels, such as `"|"` or `" "`. Unset: one label."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a CSV without a header line, in order."""
    expectations: ExpectationSettings = ExpectationSettings()
    """What the photographs are compared with, and what follows if they are not as expected."""
    beam_options: tuple[str, ...] = ()
    """Options for Beam in its own spelling, such as `--runner=DataflowRunner`."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.labels is not None and len(set(self.labels)) < 2:
            raise ValueError("labels names fewer than two labels")
        if self.group_by in FEATURE_TYPES:
            raise ValueError(f"group_by must name an extra column, not '{self.group_by}'")
        self._check_columns()
        return self

    def _check_columns(self) -> None:
        if self.image_column == self.label_column:
            raise ValueError(f"image_column and label_column are both '{self.image_column}'")
        names = self.columns
        if names is None:
            return
        for required in (self.image_column, self.label_column):
            if required not in names:
                raise ValueError(f"columns does not name '{required}'")
        if len(set(names)) < len(names) or "" in names:
            raise ValueError("columns names a column twice, or leaves a name empty")
