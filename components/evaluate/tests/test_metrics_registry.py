"""A metric is one object, and one that is not complete is one clear line before anything runs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.evaluate.metrics import registry
from components.evaluate.metrics.metric import Metric
from components.evaluate.settings import EvaluateSettings
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings

TOY = """
from components.evaluate.metrics.metric import Metric

METRICS = (Metric({}),)
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module among those of the package, which the registry finds by itself."""
    import components.evaluate.metrics as package

    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(registry.pkgutil, "iter_modules", iter_both(tmp_path))
    registry.metrics.cache_clear()
    yield tmp_path / "toy.py"
    registry.metrics.cache_clear()
    sys.modules.pop("components.evaluate.metrics.toy", None)


def iter_both(folder: Path):  # type: ignore[no-untyped-def]
    before = registry.pkgutil.iter_modules
    return lambda paths: before([*paths, str(folder)])


def test_a_module_of_its_own_adds_a_metric(added: Path) -> None:
    added.write_text(
        TOY.format("'lowest_recall', 'Lowest recall', 'Of the worst label.', single_label=min")
    )
    assert registry.metrics()["lowest_recall"].title == "Lowest recall"
    settings = validate_settings(EvaluateSettings, {"thresholds": {"lowest_recall": 0.5}})
    assert settings.thresholds["lowest_recall"].at_least == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'toy', '', 'What it says.', single_label=min", "toy: metric 'toy' has no title"),
        ("'toy', 'Toy', ' ', single_label=min", "metric 'toy' has no meaning"),
        ("'toy', 'Toy', 'What it says.'", "metric 'toy' has neither single_label nor multi_label"),
        ("'toy', 'Toy', 'x.', 'up', single_label=min", "metric 'toy': direction is 'higher' or"),
        ("'Toy!', 'Toy', 'x.', single_label=min", "metric 'Toy!': a name is lower-case letters"),
        ("'accuracy', 'Toy', 'x.', single_label=min", "two metrics are called 'accuracy'"),
    ],
)
def test_a_metric_that_is_not_complete_is_one_line(
    added: Path, arguments: str, message: str
) -> None:
    added.write_text(TOY.format(arguments))
    with pytest.raises(SettingsError, match=message) as raised:
        registry.metrics()
    assert "\n" not in str(raised.value)


def test_every_metric_says_what_it_is() -> None:
    for name, metric in registry.metrics().items():
        assert metric.name == name
        assert metric.meaning.endswith(".")
    assert {name for name, metric in registry.metrics().items() if metric.lower_is_better} == {
        "log_loss",
        "calibration_error",
    }


def test_a_metric_cannot_be_changed() -> None:
    metric = Metric("toy", "Toy", "What it says.", single_label=lambda results: 0.5)
    with pytest.raises(AttributeError):
        metric.title = "Other"  # type: ignore[misc]
