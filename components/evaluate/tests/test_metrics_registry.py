"""A metric is one object, found by itself; one that lacks a part is refused in one line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.evaluate.bounds import Threshold
from components.evaluate.settings import EvaluateSettings
from components.evaluate.tests.small_artifacts import read_results, run_evaluate
from darkroom import metrics
from darkroom.errors import SettingsError
from darkroom.metrics import known_metrics
from darkroom.metrics.metric import Metric, TfmaMetric
from darkroom.settings import validate_settings

TOY = """
from darkroom.metrics.metric import Metric, TfmaMetric

SPREAD = Metric(
    name="error_spread",
    title="Error spread",
    meaning="Share of the cells of the confusion matrix that have images.",
    direction="lower",
    range=(0.0, 1.0),
    single_label=lambda of_slice: float((of_slice.confusion > 0).mean()),
)
TOP_5 = Metric(
    name="top_5_accuracy",
    title="Top-5 accuracy",
    meaning="Share of images whose label is among the 5 most probable.",
    range=(0.0, 1.0),
    single_label=TfmaMetric("SparseTopKCategoricalAccuracy", {"k": 5}),
    fewest_labels=6,
)
"""
PARTS: dict[str, Any] = {
    "title": "X",
    "meaning": "A metric.",
    "range": (0.0, 1.0),
    "single_label": TfmaMetric("X"),
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A further module of metrics."""
    (tmp_path / "toy_metrics.py").write_text(TOY)
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    known_metrics.cache_clear()
    yield
    known_metrics.cache_clear()
    sys.modules.pop("darkroom.metrics.toy_metrics", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": ""}, "metric 'toy' has no title"),
        ({"title": None}, "metric 'toy' has no title"),
        ({"meaning": " "}, "metric 'toy' has no meaning"),
        ({"range": None}, "metric 'toy' has no range"),
        ({"single_label": None}, "metric 'toy' has neither single_label nor multi_label"),
        ({"direction": "up"}, "metric 'toy': direction is 'higher' or"),
        ({"name": "Toy!"}, "metric 'Toy!': a name is lower-case letters"),
    ],
)
def test_a_metric_that_is_not_complete_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}") as raised:
        Metric(**({"name": "toy"} | PARTS | changes))
    assert "\n" not in str(raised.value)


def test_every_metric_says_what_it_is() -> None:
    for name, metric in known_metrics().items():
        assert metric.name == name
        assert metric.meaning.endswith(".")
    lower = {name for name, metric in known_metrics().items() if metric.direction == "lower"}
    assert lower == {"log_loss", "calibration_error", "brier", "mean_cost", "hamming_loss"}


def test_a_metric_cannot_be_changed() -> None:
    metric = Metric(**({"name": "toy"} | PARTS))
    with pytest.raises(AttributeError):
        metric.title = "Other"  # type: ignore[misc]


def test_two_metrics_of_one_name_are_refused(toy: None, tmp_path: Path) -> None:
    (tmp_path / "twin.py").write_text(TOY.replace("error_spread", "accuracy"))
    try:
        with pytest.raises(SettingsError, match=r"^two metrics are called 'accuracy'$"):
            known_metrics()
    finally:
        sys.modules.pop("darkroom.metrics.twin", None)


def test_a_new_metric_can_have_a_threshold(toy: None) -> None:
    thresholds = {"error_spread": 0.5, "top_5_accuracy": 0.5}
    settings = validate_settings(EvaluateSettings, {"thresholds": thresholds})
    assert settings.thresholds == {
        "error_spread": Threshold(at_most=0.5),
        "top_5_accuracy": Threshold(at_least=0.5),
    }
    message = r"unknown metric 'eror_spread'; did you mean 'error_spread'\?"
    with pytest.raises(SettingsError, match=message):
        validate_settings(EvaluateSettings, {"thresholds": {"eror_spread": 0.5}})


@pytest.mark.slow
def test_a_new_metric_is_computed_judged_and_shown(
    toy: None, digits_examples: Path, digits_model: Path, tmp_path: Path
) -> None:
    settings = {"slices": ["room"], "thresholds": {"error_spread": 0.01, "top_5_accuracy": 0.1}}
    verdict, evaluation, report = run_evaluate(
        digits_examples, digits_model, settings, tmp_path / "output"
    )
    assert verdict == "not blessed"
    for result in read_results(evaluation):
        assert 0.1 < result["metrics"]["error_spread"] < 0.9
        assert result["metrics"]["top_5_accuracy"] >= result["metrics"]["top_3_accuracy"]
    # TFMA slices the images as we do.
    of_rooms = [result for result in read_results(evaluation) if result["slice"]]
    assert len({result["metrics"]["top_5_accuracy"] for result in of_rooms}) > 1
    page = report.read_text(encoding="utf-8")
    assert ">Error spread</td>" in page
    assert ">Top-5 accuracy</td>" in page
    assert "is above 0.01" in page
