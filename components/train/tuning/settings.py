"""Settings of the tune step: where to search, how long, and for what."""

import re
from typing import Any, Literal, Self

import pydantic

from darkroom.settings import Settings

Value = bool | int | float | str

_EXPONENT = re.compile(r"[+-]?\d+\.?\d*[eE][+-]?\d+")


class Dimension(Settings):
    """What one setting is tried at: a range, or a list of choices."""

    low: int | float | None = None
    """Smallest value of a range."""
    high: int | float | None = None
    """Largest value of it."""
    log: bool = False
    """Draw on a logarithmic scale, as for a learning rate."""
    step: int | float | None = pydantic.Field(default=None, gt=0)
    """Distance of a range's values; unset: 1 for whole numbers, else none."""
    choices: tuple[Value, ...] | None = None
    """The values to choose from; `[16, 32]` is short for `{choices: [16, 32]}`."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _list_is_choices(cls, values: object) -> object:
        return {"choices": values} if isinstance(values, list | tuple) else values

    @pydantic.field_validator("choices", mode="before")
    @classmethod
    def _read_exponents(cls, choices: object) -> object:
        # YAML takes 1e-3 for text, where people and kfp write a number.
        return [*map(_number, choices)] if isinstance(choices, list | tuple) else choices

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.choices is not None:
            if {self.low, self.high, self.step} != {None} or self.log:
                raise ValueError("choices go without low, high, step and log")
            if len(self.choices) < 2 or len(set(map(repr, self.choices))) < len(self.choices):
                raise ValueError("choices must be two or more values, each once")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected a list of choices, or {low: NUMBER, high: NUMBER}")
        if self.low >= self.high:
            raise ValueError(f"low is {self.low}, and must be under high, {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log is for a range that starts over 0, and goes without step")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(f"step is {self.step}, more than from low to high")
        return self


class TuneSettings(Settings):
    """Where to search, how long, and for what.

    Each trial trains with settings drawn from the space, in light of all trials before it
    (multivariate TPE), and exports nothing. A trial's value is what `metric` is at the epoch whose
    weights training would keep.
    """

    space: dict[str, Dimension] = pydantic.Field(min_length=1)
    """Train settings by dotted name, each with a range or choices: `learning_rate: {low: 0.0001,
    high: 0.01, log: true}`, `batch_size: [16, 32]`, `augmentation.flip: [true, false]`, which may
    also be nested as in `train`."""
    trials: int = pydantic.Field(default=20, ge=1)
    """Trials in all, those before an interruption among them."""
    timeout: float | None = pydantic.Field(default=None, gt=0)
    """Minutes after which no further trial begins; unset: never."""
    metric: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    """What is made as large, or as small, as can be."""
    pruning: Literal["median", "none"] = "median"
    """Whether a trial ends early whose best epoch is worse than the median of the trials before it
    had been by then."""
    startup_trials: int = pydantic.Field(default=5, ge=1)
    """Trials that must have finished before any is pruned."""
    warmup_epochs: int = pydantic.Field(default=1, ge=0)
    """Epochs that every trial is given."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of the draws."""

    @pydantic.field_validator("space", mode="before")
    @classmethod
    def _dotted(cls, space: object) -> object:
        return _flat(space) if isinstance(space, dict) else space

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.metric == "val_loss" and "label_smoothing" in self.space:
            raise ValueError(
                "val_loss grows with label_smoothing, so trials would not compare: set metric to "
                "val_accuracy"
            )
        return self

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way is better."""
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
