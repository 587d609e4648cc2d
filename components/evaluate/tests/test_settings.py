"""Wrong settings end in one line that names the key and the nearest valid one."""

from typing import Any

import pytest

from components.evaluate.bounds import Threshold
from components.evaluate.settings import EvaluateSettings
from darkroom.errors import SettingsError
from darkroom.metrics import known_metrics
from darkroom.settings import validate_settings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": {}}, "unknown setting 'evaluate.threshold'; did you mean 'thresholds'?"),
        ({"thresholds": {"acuracy": 0.9}}, "unknown metric 'acuracy'; did you mean 'accuracy'?"),
        (
            {"thresholds": {"accuracy": {"at_lest": 0.9}}},
            "unknown bound 'at_lest' of accuracy; did you mean 'at_least'?",
        ),
        ({"thresholds": {"accuracy": {}}}, "evaluate.thresholds.accuracy"),
        ({"thresholds": {"accuracy": "86%"}}, "accuracy: expected a number, or bounds such as"),
        ({"thresholds": {"accuracy": True}}, "accuracy: expected a number, or bounds such as"),
        ({"thresholds": {"accuracy": {"at_least": 0.9, "at_most": 0.2}}}, "rule each other out"),
        ({"against_baseline": {"accuracy": 0.1}}, "expected one such as {not_worse_by: 0.01}"),
        ({"against_baseline": {"accuracy": {"better_by": 2}}}, "more than accuracy can differ"),
        ({"costs": {"daisy": {"daisy": 5}}}, "a right answer costs 0"),
        ({"costs": {"daisy": {"roses": -5}}}, "evaluate.costs.daisy.roses"),
        ({"beta": 1e200}, "evaluate.beta"),
        ({"slices": "label"}, "expected a list"),
        ({"fairness": {"label": "daisy"}}, "'label' needs 'columns'"),
        ({"thresholds": {"accuracy": float("nan")}}, "evaluate.thresholds.accuracy'"),
        ({"thresholds": ["accuracy"]}, "evaluate.thresholds"),
        (
            {"slices": [], "thresholds": {"auc": {"every_slice_at_least": 0.5}}},
            "'thresholds.auc' checks every slice, but 'slices' is empty",
        ),
        ({"slices": "label"}, "evaluate.slices"),
        ({"minimum_slice_size": 0}, "evaluate.minimum_slice_size"),
        ({"slices": [["label", "label"]]}, "a cross is a list of different columns"),
        ({"buckets": {"width": [5, 5]}}, "the bounds of width must rise"),
        ({"buckets": {"width": 1}}, "evaluate.buckets.width"),
        ({"buckets": {"width": 3}}, "'buckets.width' is not sliced by"),
        ({"thresholds": {"mean_cost": 2}}, "'thresholds.mean_cost' needs 'evaluate.costs'"),
        ({"beta": 0}, "evaluate.beta"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        validate_settings(EvaluateSettings, values, "evaluate")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bare_number_bounds_the_worse_side_of_every_metric() -> None:
    needed = {"costs": {"a": {"b": 2}}, "beta": 2}
    values = {"thresholds": dict.fromkeys(known_metrics(), 0.5)} | needed
    thresholds = validate_settings(EvaluateSettings, values).thresholds
    lower = {name for name, threshold in thresholds.items() if threshold.at_most == 0.5}
    assert lower == {"log_loss", "calibration_error", "brier", "mean_cost", "hamming_loss"}
    assert all(thresholds[name] == Threshold(at_least=0.5) for name in set(thresholds) - lower)


def test_settings_survive_the_way_through_json() -> None:
    values = {"thresholds": {"accuracy": 1, "auc": {"every_slice_at_least": 0.5}}}
    settings = validate_settings(EvaluateSettings, values)
    assert validate_settings(EvaluateSettings, settings.model_dump(mode="json")) == settings
