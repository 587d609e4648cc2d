"""The search space and its settings: what is refused, and how values are set."""

from typing import Any

import pytest

from components.train.settings import TrainSettings
from components.train.tuning.settings import TuneSettings
from components.train.tuning.space import check_space, ends, tunable_settings, with_values
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings

TRAIN = {"backbone": "linear", "weights": "none", "batch_size": 16, "epochs": 3}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"learning_rat": [1, 2]}, "'tune.space.learning_rat'; did you mean 'learning_rate'?"),
        ({"train.epochs": [1, 2]}, "'tune.space.train.epochs'; did you mean 'epochs'?"),
        ({"augmentation": [1, 2]}, "unknown train setting 'tune.space.augmentation'"),
        ({"checkpoints": ["a", "b"]}, "unknown train setting 'tune.space.checkpoints'"),
        ({"epochs": {"low": 1.5, "high": 3}}, "takes whole numbers, not 1.5"),
        ({"epochs": ["many", 3]}, "'tune.space.epochs': many is not valid: setting 'train.epochs'"),
        ({"dropout": {"low": 0, "high": 1.0}}, "'tune.space.dropout': 1.0 is not valid: setting"),
        ({"backbone": {"low": 1, "high": 3}}, "'tune.space.backbone' is not a number: give a list"),
        ({"backbone": ["linear", "MobileNetV2x"]}, "MobileNetV2x is not valid: setting"),
    ],
)
def test_a_space_that_does_not_fit_is_one_line(space: dict[str, Any], message: str) -> None:
    settings = validate_settings(TuneSettings, {"space": space})
    with pytest.raises(SettingsError) as raised:
        check_space(settings.space, validate_settings(TrainSettings, TRAIN))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "setting 'tune.space' is missing"),
        ({"space": {}}, "setting 'tune.space'"),
        (
            {"space": {"l2": {"low": 2, "high": 1}}},
            "'tune.space.l2': low is 2, and must be less",
        ),
        ({"space": {"l2": {"low": 0, "high": 1, "log": True}}}, "log is for a range over 0"),
        ({"space": {"l2": {"low": 0, "hihg": 1}}}, "'tune.space.l2.hihg'; did you mean 'high'?"),
        ({"space": {"l2": {"low": 0, "high": 1, "step": 2}}}, "more than high minus low"),
        ({"space": {"l2": [1]}}, "'tune.space.l2': choices must be two or more values"),
        ({"space": {"l2": 3}}, "setting 'tune.space.l2'"),
        ({"space": {"l2": [1, {}]}}, "setting 'tune.space.l2"),
        ({"space": {"l2": [1, 2]}, "trails": 3}, "did you mean 'trials'?"),
        ({"space": {"label_smoothing": [0, 0.1]}, "metric": "val_loss"}, "val_loss grows with"),
    ],
)
def test_wrong_tune_settings_are_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        validate_settings(TuneSettings, values, "tune")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_choices_keep_their_types() -> None:
    values: dict[str, Any] = {"space": {"batch_size": [1, 2], "l2": [1.0, "1e-4"]}}
    values["space"]["augmentation"] = {"flip": [True, False]}
    space = validate_settings(TuneSettings, values).space
    kinds = [[type(value) for value in ends(space[name])] for name in space]
    assert kinds == [[int] * 2, [float] * 2, [bool] * 2]
    settings = validate_settings(TuneSettings, values)
    assert (
        TuneSettings.model_validate(settings.model_dump(mode="json", exclude_none=True)) == settings
    )


def test_settings_are_put_in_their_place() -> None:
    train = validate_settings(TrainSettings, TRAIN)
    changed = with_values(train, {"augmentation.rotation": 0.1, "epochs": 7})
    assert changed.augmentation.rotation == 0.1
    assert changed.epochs == 7
    assert changed.backbone == train.backbone
    assert train.augmentation.rotation == 0.0
    issue = {"learning_rate", "l2", "dropout", "batch_size", "augmentation.flip"}
    assert issue <= set(tunable_settings())
