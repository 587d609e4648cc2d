"""Settings of the alerts."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic

from darkroom.durations import Duration
from darkroom.metrics import known_metrics
from darkroom.settings import Settings, nearest

FloorValue = Annotated[float, pydantic.Field(gt=0, lt=1, allow_inf_nan=False)]
Fall = Annotated[float, pydantic.Field(ge=0, lt=1, allow_inf_nan=False)]


class Floor(Settings):
    """The smallest values of a metric; a bare number is short for `at_least`."""

    at_least: FloorValue | None = None
    """Of all photographs together."""

    every_slice_at_least: FloorValue | None = None
    """Of each slice of `monitor.slices`."""

    @pydantic.model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.at_least is None and self.every_slice_at_least is None:
            raise ValueError("a floor needs at_least or every_slice_at_least")
        return self


class AlertSettings(Settings):
    """What somebody is told of.

    `monitor.rate` bounds the false alarms of drift, falls and floors together over a version's
    life. Silence is no matter of chance, and has no rate.
    """

    floors: dict[str, Floor] = pydantic.Field(default_factory=dict)
    """What `accuracy` or `top_3_accuracy` must reach in production: `{accuracy: 0.9}`, or
    `{accuracy: {at_least: 0.9, every_slice_at_least: 0.8}}`. They are shares of photographs, of
    which the rate of false alarms holds."""

    falls: dict[str, Fall] = pydantic.Field(default_factory=lambda: {"accuracy": 0.03})
    """The largest fall that is let pass, of all photographs and of each slice of the version's
    evaluation. A larger one alarms as soon as it is more than chance. `{}` for none; of `accuracy`
    alone."""

    drift_windows: Annotated[int, pydantic.Field(ge=1)] | None = 2
    """How many windows a drift must last. `null`: nobody is told."""

    drift_difference: float = pydantic.Field(default=0.02, ge=0, lt=1)
    """The smallest difference of a share that is told: 0.02 leaves out a label that 21 in place of
    20 photographs of 100 are given. With very many photographs, no difference is chance."""

    no_traffic: Duration | Literal["auto"] | None = "auto"
    """How long there may be no answer, such as `6h`. `auto`, once there were answers in three
    windows: two windows (two days where windows are of N photographs), or twice the second longest
    silence so far. `null`: nobody is told."""

    labels_stopped: Duration | Literal["auto"] | None = "auto"
    """How long there may be answers and no new label, where labels came at three times or more.
    `auto`: three days (and two windows), or twice the second longest wait so far. `null`: nobody is
    told."""

    quiet_windows: int = pydantic.Field(default=3, ge=1)
    """Windows in a row without a sign of it after which an alert is closed."""

    again: Duration = "7d"
    """An alert that returns within this time of its closing is the same one, and is not told
    again."""

    @pydantic.field_validator("floors", mode="before")
    @classmethod
    def _in_full_form(cls, floors: Any) -> Any:
        if not isinstance(floors, Mapping):
            return floors
        return {
            name: {"at_least": given} if isinstance(given, int | float) else given
            for name, given in floors.items()
        }

    @pydantic.field_validator("floors")
    @classmethod
    def _check_floors(cls, floors: dict[str, Floor]) -> dict[str, Floor]:
        for name in floors:
            shares = [name for name, metric in known_metrics().items() if metric.is_share]
            if name not in shares:
                raise ValueError(
                    f"'{name}' has no floor here: it is no share of photographs, of which the rate "
                    f"of false alarms would hold{nearest(name, shares)}"
                )
        return floors

    @pydantic.field_validator("falls")
    @classmethod
    def _check_falls(cls, falls: dict[str, float]) -> dict[str, float]:
        for name in falls:
            if name != "accuracy":
                raise ValueError(f"falls are told of accuracy alone, not of '{name}'")
        return falls
