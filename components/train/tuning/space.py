"""The search space: checks against the train settings, and conversion for Optuna."""

import copy
from collections.abc import Mapping
from typing import Any, get_args

import pydantic

from components.train.settings import TrainSettings
from components.train.tuning.settings import Dimension
from darkroom.errors import SettingsError
from darkroom.settings import nearest, set_value, validate_settings

Space = Mapping[str, Dimension]

NOT_TUNED = frozenset({"checkpoints", "checkpoint_steps", "from_model"})
"""Settings of where a training keeps its state, or what it starts from."""


def check_space(space: Space, train: TrainSettings) -> None:
    """Checks that every value of a space can be trained with.

    Args:
        space: The dimensions by setting.
        train: All other settings.

    Raises:
        SettingsError: A name is not a train setting, or a value is not valid for it.
    """
    names = tunable_settings()
    for name, dimension in space.items():
        key = f"tune.space.{name}"
        if name not in names:
            raise SettingsError(
                f"unknown train setting '{key}'{nearest(_without_train(name), names)}"
            )
        if dimension.choices is None:
            _check_range(key, dimension, names[name])
        for value in ends(dimension):
            try:
                with_values(train, {name: value})
            except SettingsError as error:
                raise SettingsError(f"setting '{key}': {value} is not valid: {error}") from None


def tunable_settings() -> dict[str, tuple[type, ...]]:
    """The train settings that can be tuned, by dotted name, and the types each takes."""
    return {k: types for k, types in _leaves(TrainSettings).items() if k not in NOT_TUNED}


def ends(dimension: Dimension) -> tuple[Any, ...]:
    """The choices, or the range's two ends."""
    return dimension.choices or (dimension.low, dimension.high)


def is_whole(name: str) -> bool:
    """Whether a setting takes integers only."""
    types = tunable_settings()[name]
    return int in types and float not in types


def with_values(train: TrainSettings, values: Mapping[str, Any]) -> TrainSettings:
    """Train settings with some of them changed.

    Args:
        train: The settings.
        values: New values by dotted name.

    Raises:
        SettingsError: They are not valid together.
    """
    changed = copy.deepcopy(train.model_dump(mode="json", exclude_none=True))
    for name, value in values.items():
        set_value(changed, name, value)
    return validate_settings(TrainSettings, changed, "train")


def distributions(space: Space) -> dict[str, Any]:
    """The space as Optuna's distributions, by setting."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for name, d in space.items():
        if d.choices is not None:
            found[name] = CategoricalDistribution(d.choices)
            continue
        low, high = ends(d)
        if is_whole(name):
            found[name] = IntDistribution(low, high, d.log, int(d.step or 1))
        else:
            found[name] = FloatDistribution(low, high, d.log, d.step)
    return found


def _leaves(model: type[pydantic.BaseModel], prefix: str = "") -> dict[str, tuple[type, ...]]:
    found: dict[str, tuple[type, ...]] = {}
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
            found |= _leaves(annotation, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = get_args(annotation) or (annotation,)
    return found


def _check_range(key: str, dimension: Dimension, types: tuple[type, ...]) -> None:
    if not {int, float} & set(types):
        raise SettingsError(f"setting '{key}' is not a number: give a list of choices")
    if float in types:
        return
    for end in (dimension.low, dimension.high, dimension.step):
        if isinstance(end, float):
            raise SettingsError(f"setting '{key}' takes whole numbers, not {end}")


def _without_train(name: str) -> str:
    return name.removeprefix("train.")
