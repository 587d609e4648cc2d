"""Settings of the tune step: where to search, how long, and for what."""

import re
from typing import Any, Literal, Self

import pydantic

from darkroom.settings import Settings

Value = bool | int | float | str

_EXPONENT = re.compile(r"[+-]?\d+\.?\d*[eE][+-]?\d+")


class Dimension(Settings):
    """The values that a setting is tried at: a range, or a list of choices."""

    low: int | float | None = None
    """Smallest value of the range."""
    high: int | float | None = None
    """Largest value of the range."""
    log: bool = False
    """Sample on a logarithmic scale, as for a learning rate."""
    step: int | float | None = pydantic.Field(default=None, gt=0)
    """Distance between the range's values; unset: 1 for integers, continuous otherwise."""
    choices: tuple[Value, ...] | None = None
    """The values to choose from; `[16, 32]` is short for `{choices: [16, 32]}`."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _list_is_choices(cls, values: object) -> object:
        return {"choices": values} if isinstance(values, list | tuple) else values

    @pydantic.field_validator("choices", mode="before")
    @classmethod
    def _read_exponents(cls, choices: object) -> object:
        # YAML reads 1e-3 as text, where people and kfp mean a number.
        return [*map(_number, choices)] if isinstance(choices, list | tuple) else choices

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.choices is not None:
            if {self.low, self.high, self.step} != {None} or self.log:
                raise ValueError("choices cannot be combined with low, high, step or log")
            if len(self.choices) < 2 or len(set(map(repr, self.choices))) < len(self.choices):
                raise ValueError("choices must be two or more values, each once")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected a list of choices, or {low: NUMBER, high: NUMBER}")
        if self.low >= self.high:
            raise ValueError(f"low is {self.low}, and must be less than high, {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log is for a range over 0, and cannot be combined with step")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(f"step is {self.step}, more than high minus low")
        return self


class TuneSettings(Settings):
    """Where to search, how long, and for what.

    Each trial trains with settings sampled from the space, based on all trials before it
    (multivariate TPE), and exports nothing. A trial's value is `metric` at the epoch whose weights
    training would keep.
    """

    space: dict[str, Dimension] = pydantic.Field(min_length=1)
    """Train settings by dotted name, each with a range or choices: `learning_rate: {low: 0.0001,
    high: 0.01, log: true}`, `batch_size: [16, 32]`, `augmentation.flip: [true, false]`, which may
    also be nested as in `train`."""
    trials: int = pydantic.Field(default=20, ge=1)
    """Number of trials, including those before an interruption."""
    timeout: float | None = pydantic.Field(default=None, gt=0)
    """Minutes after which no further trial begins; unset: never."""
    metric: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    """The metric to maximize (`val_accuracy`; where photographs have several labels, the macro F1
    at the best thresholds) or minimize (`val_loss`)."""
    pruning: Literal["median", "none"] = "median"
    """`median` ends a trial early when its best epoch so far is worse than the median of the
    earlier trials at that epoch."""
    startup_trials: int = pydantic.Field(default=5, ge=1)
    """Trials that must finish before any is pruned."""
    warmup_epochs: int = pydantic.Field(default=1, ge=0)
    """Epochs before a trial may be pruned."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of the sampler."""

    @pydantic.field_validator("space", mode="before")
    @classmethod
    def _dotted(cls, space: object) -> object:
        return _flat(space) if isinstance(space, dict) else space

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.metric == "val_loss" and "label_smoothing" in self.space:
            raise ValueError(
                "val_loss grows with label_smoothing, so trials would not be comparable: set "
                "metric to val_accuracy"
            )
        return self

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """The direction of the search, as Optuna takes it."""
        return "maximize" if self.metric == "val_accuracy" else "minimize"


def _number(value: object) -> object:
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


def _flat(space: dict[str, Any]) -> dict[str, Any]:
    """Sections within a space as dotted names."""
    found: dict[str, Any] = {}
    for name, value in space.items():
        if isinstance(value, dict) and value and not set(value) & set(Dimension.model_fields):
            found |= {f"{name}.{key}": inner for key, inner in _flat(value).items()}
        else:
            found[name] = value
    return found
