"""What is drawn: figures of windows as series in time, a line a version."""

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from components.monitor.page.figures import (
    ALL,
    Figures,
    VersionFigures,
    compared,
    compared_figures,
    pooled,
)
from components.monitor.page.words import Unit, in_unit, slice_in_words, window_in_words
from components.monitor.windows.alarms import accuracy_test
from components.monitor.windows.history import OVER, Point, Window
from darkroom.metrics import known_metrics

MOST_WINDOWS = 120
"""Windows that are drawn, over all versions: the latest."""
_DRIFT_FIGURES = {
    "total_variation": "total variation",
    "separability": "how well it is told from the evaluation: 0.5 is not at all",
}
"""Which figure of a comparison is drawn, and what it says; where it has none, its first one."""
_DRIFT_TITLES = {
    "label": "Labels given",
    "confidence": "Confidence",
    "entropy": "Entropy of the answers",
    "format": "File format",
}


class Dot(NamedTuple):
    """A window in a series.

    Attributes:
        time: The middle of its answers, in seconds since 1970.
        window: The window in words.
        value: Its figure; None where it has none.
        low: The lower end of what is known of it; None where it has none.
        high: The upper end.
        average: Its moving average.
        photographs: Those that the figure is of.
        alarm: Whether a test of it alarms.
    """

    time: float
    window: str
    value: float | None
    low: float | None = None
    high: float | None = None
    average: float | None = None
    photographs: int | None = None
    alarm: bool = False


class Line(NamedTuple):
    """The windows of a version.

    Attributes:
        version: The version.
        dots: In order; one without a value parts windows between which there was no answer.
        is_estimated: Whether it is an estimate without labels.
    """

    version: str
    dots: list[Dot]
    is_estimated: bool = False


class Series(NamedTuple):
    """A figure in time.

    Attributes:
        title: What it is.
        about: What it says, in one line.
        unit: Of its values.
        lines: A line a version.
    """

    title: str
    about: str
    unit: Unit
    lines: list[Line]

    @property
    def is_known(self) -> bool:
        """Whether any window has it."""
        return any(dot.value is not None for line in self.lines for dot in line.dots)

    @property
    def in_words(self) -> str:
        """What a picture of it shows."""
        dots = [dot for line in self.lines if not line.is_estimated for dot in line.dots]
        known = sorted((dot.time, dot.value) for dot in dots if dot.value is not None)
        if not known:
            return f"{self.title}: no window has it"
        first, last = (in_unit(value, self.unit) for _, value in (known[0], known[-1]))
        count = f"{len(known)} windows" if len(known) > 1 else "one window"
        alarms = sum(dot.alarm for dot in dots)
        told = f", {alarms} with an alarm" if alarms else ""
        return f"{self.title} of {count}{told}: {first} in the first, {last} in the last"


class Shown(NamedTuple):
    """The windows that are drawn.

    Attributes:
        version: What is known of their version.
        windows: Those of it that are drawn.
        words: Each window of the version in words, by its number.
    """

    version: VersionFigures
    windows: list[Window]
    words: dict[int, str]


def shown_windows(figures: Figures) -> list[Shown]:
    """The windows that are drawn, by version, the version that answered last first."""
    ends = sorted(window.figures["last"] for of in figures.versions for window in of.windows)
    since = ends[-MOST_WINDOWS] if len(ends) > MOST_WINDOWS else ""
    found = []
    for of in figures.versions:
        drawn = [window for window in of.windows if window.figures["last"] >= since]
        words = {window.window: window_in_words(window, figures.window) for window in of.windows}
        if drawn:
            found.append(Shown(of, drawn, words))
    return found


def accuracy(shown: Sequence[Shown]) -> Series:
    """Accuracy with its interval, and the one estimated without labels."""
    lines = _metric_lines(shown, "accuracy", ALL)
    for of in shown:
        dots = _dots(of, (_estimated(window.figures["estimated"]) for window in of.windows))
        if any(dot.value is not None for dot in dots):
            lines.append(Line(of.version.version, dots, is_estimated=True))
    return Series("Accuracy", "the share of labelled photographs answered rightly", "figure", lines)


def metrics(shown: Sequence[Shown]) -> list[Series]:
    """All other metrics of all photographs, as far as windows have them."""
    found = []
    for name, metric in known_metrics().items():
        lines = _metric_lines(shown, name, ALL)
        if name != "accuracy" and lines:
            better = "more is better" if metric.direction == "higher" else "less is better"
            found.append(Series(metric.title, better, "figure", lines))
    return found


def slices(shown: Sequence[Shown]) -> dict[str, Series]:
    """The accuracy of slices by name; of the version that answered last, the worst first."""
    names = dict.fromkeys(name for of in shown for name in of.version.slices)
    return {
        name: Series(
            slice_in_words(name),
            _lately(shown, name),
            "figure",
            _metric_lines(shown, "accuracy", name),
        )
        for name in names
    }


def _lately(shown: Sequence[Shown], slice_name: str) -> str:
    """A slice's accuracy over the latest windows of the version that answered it last."""
    points = next(of.version.slices[slice_name] for of in shown if slice_name in of.version.slices)
    interval = pooled(points)
    if interval is None:
        return "no labels lately"
    count = sum(point.photographs for point in points[-OVER:])
    of = "one photograph" if count == 1 else f"{count:,} photographs"
    between = f"{interval.low:.3f} to {interval.high:.3f}"
    return f"{in_unit(points[-1].average, 'figure')} lately ({between}, {of})"


def drift(shown: Sequence[Shown]) -> list[Series]:
    """How far windows are from what the version was evaluated on, by what is compared."""
    names = dict.fromkeys(
        name for of in shown for window in of.windows for name in compared_figures(window)
    )
    found = []
    for name in names:
        figure = _drift_figure(shown, name)
        lines = [
            Line(
                of.version.version,
                _dots(of, (_drifted(window, name, figure) for window in of.windows)),
            )
            for of in shown
        ]
        title = _DRIFT_TITLES.get(name, name.replace("_", " ").capitalize())
        about = _DRIFT_FIGURES.get(figure, figure.replace("_", " "))
        found.append(Series(title, about, "figure", lines))
    return found


def traffic(shown: Sequence[Shown]) -> list[Series]:
    """Answers, the share of photographs without a label, and how late labels are."""
    parts: tuple[tuple[str, str, Unit, Callable[[Mapping[str, Any]], Dot]], ...] = (
        ("Answers", "of a window", "count", lambda of: Dot(0, "", of["answers"])),
        (
            "Without a label",
            "share of the photographs",
            "share",
            lambda of: Dot(0, "", of["unlabelled_share"]),
        ),
        (
            "How late labels are",
            "in hours: the median, and until when nine in ten came",
            "hours",
            lambda of: _late(of["label_delay"]),
        ),
    )
    return [
        Series(
            title,
            about,
            unit,
            [
                Line(of.version.version, _dots(of, (dot(one.figures) for one in of.windows)))
                for of in shown
            ],
        )
        for title, about, unit, dot in parts
    ]


def _metric_lines(shown: Sequence[Shown], metric: str, slice_name: str) -> list[Line]:
    test = accuracy_test(slice_name) if metric == "accuracy" else None
    lines = []
    for of in shown:
        known = of.version
        found = known.metrics.get(metric) if slice_name == ALL else known.slices.get(slice_name)
        points = {point.window: point for point in found or ()}
        measured = (_measured(points.get(one.window), test in one.alarms) for one in of.windows)
        dots = _dots(of, measured)
        if any(dot.value is not None for dot in dots):
            lines.append(Line(known.version, dots))
    return lines


def _dots(of: Shown, figures: Iterable[Dot]) -> list[Dot]:
    """Figures of windows where they belong in time."""
    found = []
    for window, dot in zip(of.windows, figures, strict=True):
        words = of.words[window.window]
        first, last = (_seconds(window.figures[name]) for name in ("first", "last"))
        if window.empty_before:
            found.append(Dot(first - 1, words, None))
        found.append(dot._replace(time=(first + last) / 2, window=words))
    return found


def _measured(point: Point | None, alarm: bool) -> Dot:
    if point is None:
        return Dot(0, "", None, alarm=alarm)
    return Dot(0, "", *point[1:4], point.average, point.photographs, alarm)


def _estimated(figures: Mapping[str, Any] | None) -> Dot:
    if figures is None:
        return Dot(0, "", None)
    return Dot(0, "", figures["accuracy"], figures["low"], figures["high"])


def _drift_figure(shown: Sequence[Shown], name: str) -> str:
    drifts = (compared_figures(window).get(name) for of in shown for window in of.windows)
    figures: dict[str, Any] = next(filter(None, drifts))
    return next((figure for figure in _DRIFT_FIGURES if figure in figures), next(iter(figures)))


def _drifted(window: Window, name: str, figure: str) -> Dot:
    value = compared_figures(window).get(name, {}).get(figure)
    alarm = any(compared(test) == name for test in window.alarms)
    return Dot(0, "", value, alarm=alarm, photographs=window.figures["photographs"])


def _late(delays: Mapping[str, float]) -> Dot:
    if not delays:
        return Dot(0, "", None)
    return Dot(0, "", delays["median"], delays["median"], delays["p90"])


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
