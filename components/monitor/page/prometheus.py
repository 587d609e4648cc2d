"""The page's figures as Prometheus reads them.

Everything but `darkroom_monitor_answers_total` is a gauge: what the newest window says, or the
newest that has the figure. `slice` is empty for all photographs; other slices have their accuracy.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.monitor.page.figures import VersionFigures, compared_figures
from components.monitor.page.latest import State
from components.monitor.page.words import slice_in_words
from components.monitor.windows.history import Point

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "darkroom_monitor_"
_QUANTILES = {"median": "0.5", "p90": "0.9", "longest": "1"}
Sample = tuple[tuple[str, ...], float | None]


def exposition(state: State) -> bytes:
    """The figures in Prometheus' text format.

    Args:
        state: What is known.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Families(list(_families(state))))
    return generate_latest(registry)


class _Families:
    def __init__(self, families: list["Metric"]) -> None:
        self._families = families

    def collect(self) -> list["Metric"]:
        return self._families


def _families(state: State) -> Iterator["Metric"]:
    readable = [((), float(state.problem is None))]
    yield _gauge("readable", "Whether the monitor's database can be read now.", (), readable)
    text = "When the monitor's database changed last."
    yield _gauge("changed_timestamp_seconds", text, (), [((), state.changed)])
    if state.figures is None:
        return
    figures = state.figures
    text = "When a label became known last."
    yield _gauge("last_label_timestamp_seconds", text, (), [((), figures.last_label)])
    for name, text, labels, samples in _OF_VERSIONS:
        found = [
            ((of.version, *values), value)
            for of in figures.versions
            for values, value in samples(of)
        ]
        yield _gauge(name, text, ("version", *labels), found)
    yield _answers(figures.versions)
    alerts = Counter((alert.version, alert.kind, alert.state) for alert in figures.alerts)
    text = "Alerts by kind and state: open, acknowledged, muted or closed."
    yield _gauge("alerts", text, ("version", "kind", "state"), alerts.items())
    marks = Counter(mark.kind for mark in figures.marks)
    text = "What has happened to the model: pushed, promoted, rolled_back, retraining and so on."
    yield _gauge("marks", text, ("kind",), [((kind,), count) for kind, count in marks.items()])


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(_PREFIX + name, text, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(list(values), value)
    return family


def _answers(versions: Iterable[VersionFigures]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    text = "Answers that the monitor has seen."
    family = CounterMetricFamily(_PREFIX + "answers", text, labels=["version"])
    for of in versions:
        family.add_metric([of.version], sum(one.figures["answers"] for one in of.windows))
    return family


def _newest(name: str) -> Callable[[VersionFigures], Iterator[Sample]]:
    """A figure of the newest window."""

    def samples(of: VersionFigures) -> Iterator[Sample]:
        yield (), of.last.figures[name]

    return samples


def _last_answer(of: VersionFigures) -> Iterator[Sample]:
    yield (), datetime.datetime.fromisoformat(of.last.figures["last"]).timestamp()


def _windows(of: VersionFigures) -> Iterator[Sample]:
    yield (), len(of.windows)


def _metrics(field: str) -> Callable[[VersionFigures], Iterator[Sample]]:
    """A field of the newest window that has a metric: of all photographs, and by slice."""

    def newest(points: list[Point]) -> float | None:
        point = next((point for point in reversed(points) if point.value is not None), None)
        return None if point is None else getattr(point, field)

    def samples(of: VersionFigures) -> Iterator[Sample]:
        for name, points in of.metrics.items():
            yield (name, ""), newest(points)
        for name, points in of.slices.items():
            yield ("accuracy", slice_in_words(name)), newest(points)

    return samples


def _estimated(field: str) -> Callable[[VersionFigures], Iterator[Sample]]:
    def samples(of: VersionFigures) -> Iterator[Sample]:
        estimated: Mapping[str, Any] | None = of.last.figures["estimated"]
        if estimated is not None:
            value = estimated[field]
            yield (), len(value) if field == "doubts" else value

    return samples


def _delays(of: VersionFigures) -> Iterator[Sample]:
    delays = [one.figures["label_delay"] for one in of.windows if one.figures["label_delay"]]
    for name, hours in delays[-1].items() if delays else ():
        if name in _QUANTILES:
            yield (_QUANTILES[name],), 3600 * hours


def _drift(of: VersionFigures) -> Iterator[Sample]:
    for name, figures in compared_figures(of.last).items():
        for figure, value in figures.items():
            if isinstance(value, int | float):
                yield (name, figure), value


def _evidence(of: VersionFigures) -> Iterator[Sample]:
    for change in of.changes:
        yield (change.of, change.test), change.log_e_value


def _alarms(of: VersionFigures) -> Iterator[Sample]:
    for change in of.changes:
        yield (change.of, change.test), float(change.alarm)


_METRIC = ("metric", "slice")
_TEST = ("of", "test")
_OF_VERSIONS: tuple[
    tuple[str, str, tuple[str, ...], Callable[[VersionFigures], Iterable[Sample]]], ...
] = (
    ("last_answer_timestamp_seconds", "When the version answered last.", (), _last_answer),
    ("windows", "Windows of the version.", (), _windows),
    ("window_answers", "Answers of the newest window.", (), _newest("answers")),
    ("window_photographs", "Different photographs of it.", (), _newest("photographs")),
    ("window_labelled", "Those of them that have labels.", (), _newest("labelled")),
    ("unlabelled_share", "Share of them without.", (), _newest("unlabelled_share")),
    ("label_delay_seconds", "From answer to label, by quantile.", ("quantile",), _delays),
    ("metric", "A metric of the newest window that has it.", _METRIC, _metrics("value")),
    ("metric_low", "The lower end of its interval of 95 %.", _METRIC, _metrics("low")),
    ("metric_high", "The upper end.", _METRIC, _metrics("high")),
    ("metric_average", "Its moving average.", _METRIC, _metrics("average")),
    ("metric_photographs", "Labelled photographs of it.", _METRIC, _metrics("photographs")),
    ("estimated_accuracy", "Accuracy estimated without labels.", (), _estimated("accuracy")),
    ("estimated_accuracy_low", "The lower end of its interval.", (), _estimated("low")),
    ("estimated_accuracy_high", "The upper end.", (), _estimated("high")),
    ("estimate_doubts", "Reasons to doubt the estimate.", (), _estimated("doubts")),
    ("drift", "How far the newest window is from the evaluation.", ("of", "figure"), _drift),
    ("log_e_value", "Logarithm of the evidence that a share has changed.", _TEST, _evidence),
    ("alarm", "Whether that is enough, at the stated rate.", _TEST, _alarms),
)
