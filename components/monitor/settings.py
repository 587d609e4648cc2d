"""Settings of the monitor."""

from typing import Annotated, Literal, Self

import pydantic

from components.monitor.retraining.settings import RetrainSettings
from darkroom.settings import Settings, nearest

Slicing = tuple[str, ...]
"""Columns to slice by at once."""


class MonitorSettings(Settings):
    """What is watched of a model in production."""

    samples: str | None = pydantic.Field(default=None, min_length=1)
    """The server's `sample.folder`; with `model`."""

    model: str | None = pydantic.Field(default=None, min_length=1)
    """The model's name at the server."""

    predictions: tuple[Annotated[str, pydantic.Field(min_length=1)], ...] = ()
    """Folders of batch predictions. A column `time` of theirs says when a photograph was answered;
    without, it is when the prediction began."""

    labels: tuple[Annotated[str, pydantic.Field(min_length=1)], ...] = ()
    """Tables of labels that come later: CSV or JSON Lines with `label` and `image_id` or `key`, or
    the JSON export of Label Studio. A row that a table no longer has is withdrawn."""

    window: Literal["hour", "day", "week"] | Annotated[int, pydantic.Field(ge=10)] = "day"
    """How much is looked at together: an hour, a day or a week (from Monday) of UTC, or a number of
    photographs."""

    slices: tuple[str | tuple[str, ...], ...] = ("label",)
    """What to slice by: `label`, a column of the labels or of the batch predictions, or, where the
    samples hold photographs, `brightness`, `height` and the like, cut near the quartiles of the
    training statistics. A list of columns is their cross: `[label, [camera, label]]`."""

    rate: float = pydantic.Field(default=0.01, gt=0, lt=1)
    """The share of models' lives without any change in which there may be a false alarm."""

    retrain: RetrainSettings | None = None
    """When the model is trained again, and how. Unset: never."""

    @property
    def slicings(self) -> tuple[Slicing, ...]:
        """The columns to slice by at once, slicing by slicing."""
        return tuple((one,) if isinstance(one, str) else one for one in self.slices)

    @property
    def sliced_columns(self) -> tuple[str, ...]:
        """Every column that is sliced by, once."""
        return tuple(dict.fromkeys(name for columns in self.slicings for name in columns))

    @pydantic.field_validator("slices")
    @classmethod
    def _check_crosses(
        cls, slices: tuple[str | tuple[str, ...], ...]
    ) -> tuple[str | tuple[str, ...], ...]:
        for one in slices:
            if not isinstance(one, str) and (not one or len(set(one)) < len(one)):
                raise ValueError(f"a cross is a list of different columns, not {list(one)}")
        return slices

    @pydantic.model_validator(mode="after")
    def _retrains_by_slices_that_there_are(self) -> Self:
        slicings = {tuple(sorted(columns)) for columns in self.slicings}
        for bound in () if self.retrain is None else self.retrain.sliced_bounds:
            columns = tuple(name for name, _ in bound.slice)
            if columns not in slicings:
                named = ", ".join(columns)
                offer = nearest(named, [", ".join(each) for each in slicings])
                raise ValueError(f"'retrain.when': 'slices' has no slicing by {named}{offer}")
        return self

    @pydantic.model_validator(mode="after")
    def _has_answers(self) -> Self:
        if (self.samples is None) != (self.model is None):
            raise ValueError("'samples' and 'model' go together: a server has a folder a model")
        if self.samples is None and not self.predictions:
            raise ValueError("nothing to watch: set 'samples' and 'model', or 'predictions'")
        return self
