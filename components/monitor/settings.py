"""Settings of the monitor."""

from typing import Annotated, Literal, Self

import pydantic

from components.monitor.alerts.settings import AlertSettings
from components.monitor.labelling.settings import LabellingSettings
from components.monitor.retraining.settings import RetrainSettings
from darkroom.channels.settings import ChannelSettings
from darkroom.settings import nearest
from darkroom.slices import SlicedSettings, Slices
from darkroom.storage.paths import is_uri, mounted_uri

STORES = ("gs://", "s3://")
"""Buckets in which of several writers one creates a file."""


class MonitorSettings(SlicedSettings):
    """What is watched of a model in production."""

    state: str = pydantic.Field(min_length=1)
    """The folder, or bucket's URI, where `monitor.db` and the page `report.html` are kept: on a
    cluster a bucket (`gs://`, `s3://`) or a volume, which outlive the step."""

    samples: str | None = pydantic.Field(default=None, min_length=1)
    """The server's `sample.folder`; with `model`."""

    model: str | None = pydantic.Field(default=None, min_length=1)
    """The model's name at the server."""

    predictions: tuple[Annotated[str, pydantic.Field(min_length=1)], ...] = ()
    """Folders or URIs of batch predictions. A column `time` of theirs says when a photograph was
    answered; without, it is when the prediction began."""

    labels: tuple[Annotated[str, pydantic.Field(min_length=1)], ...] = ()
    """Tables of labels that come later: CSV or JSON Lines with `label` and `image_id` or `key`, or
    the JSON export of Label Studio. A row that a table no longer has is withdrawn."""

    versions: str | None = pydantic.Field(default=None, min_length=1)
    """Where the versions were pushed to, which windows are held against. Unset:
    `push.destination`."""

    window: Literal["hour", "day", "week"] | Annotated[int, pydantic.Field(ge=10)] = "day"
    """How much is looked at together: an hour, a day or a week (from Monday) of UTC, or a number of
    photographs."""

    slices: Slices = ("label",)
    """What to slice by: `label`, a column of the labels or of the batch predictions, or, where the
    samples hold photographs, `brightness`, `height` and the like, cut near the quartiles of the
    training statistics. A list of columns is their cross: `[label, [camera, label]]`."""

    rate: float = pydantic.Field(default=0.01, gt=0, lt=1)
    """The share of models' lives without any change in which there may be a false alarm; one of
    silence is none."""

    alerts: AlertSettings = AlertSettings()
    """What somebody is told of."""

    retrain: RetrainSettings | None = None
    """When the model is trained again, and how. Unset: never."""

    notify: ChannelSettings = ChannelSettings()
    """Who is told of alerts; the same keys as in the section `notify`."""

    labelling: LabellingSettings = LabellingSettings()
    """What to label next, for `darkroom monitor --label-next`."""

    @pydantic.field_validator("state")
    @classmethod
    def _check_state(cls, state: str) -> str:
        # A bucket that is mounted as a folder knows no locks: it is used as the bucket that it is.
        state = mounted_uri(state) or state
        if is_uri(state) and not state.startswith(STORES):
            raise ValueError("expected a folder, gs:// or s3://")
        return state.rstrip("/") or "/"

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
