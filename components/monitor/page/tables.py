"""The figures of the charts as tables, for who reads them better, or cannot see the charts."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.monitor.page.figures import pooled
from components.monitor.page.timeline import Series, Shown, drift, metrics
from components.monitor.page.words import in_unit, slice_in_words
from components.monitor.windows.history import OVER, Point, Window

_NONE = "\N{EN DASH}"


class Table(NamedTuple):
    """A table.

    Attributes:
        title: What it is of.
        columns: Headings; the first `texts` are of texts.
        rows: The cells.
        texts: How many columns are texts.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 2


def tables_of(shown: Sequence[Shown]) -> list[Table]:
    """All figures that are drawn: the newest window first."""
    return [
        Table(
            "Windows",
            (
                *("Window", "Version", "Answers", "Photographs", "Labelled", "Accuracy"),
                *("95 %", "Moving average", "Estimated", "Without a label", "Label delay"),
                "Tests that alarm",
            ),
            [row for of in shown for row in _windows(of)],
        ),
        Table(
            "Accuracy by slice",
            ("Slice", "Version", "Labelled lately", "Accuracy lately", "95 %", "Newest window"),
            [row for of in shown for row in _slices(of)],
        ),
        *(
            Table(title, ("Window", "Version", *(one.title for one in series)), _by_window(series))
            for title, series in (("Drift", drift(shown)), ("Metrics", metrics(shown)))
            if series
        ),
    ]


def _windows(of: Shown) -> Iterator[list[str]]:
    points = {point.window: point for point in of.version.metrics.get("accuracy", [])}
    for window in reversed(of.windows):
        figures, point = window.figures, points.get(window.window)
        estimated = figures["estimated"]
        yield [
            of.words[window.window],
            of.version.version,
            *(f"{figures[name]:,}" for name in ("answers", "photographs", "labelled")),
            in_unit(point and point.value, "figure"),
            _range(point),
            in_unit(point and point.average, "figure"),
            in_unit(estimated and estimated["accuracy"], "figure"),
            in_unit(figures["unlabelled_share"], "share"),
            in_unit(figures["label_delay"].get("median"), "hours"),
            _alarms(window),
        ]


def _alarms(window: Window) -> str:
    return str(len(window.alarms)) if window.alarms else _NONE


def _range(point: Point | None) -> str:
    if point is None or point.low is None or point.high is None:
        return _NONE
    return f"{in_unit(point.low, 'figure')} to {in_unit(point.high, 'figure')}"


def _slices(of: Shown) -> Iterator[list[str]]:
    for name, points in of.version.slices.items():
        lately = pooled(points)
        photographs = sum(point.photographs for point in points[-OVER:])
        yield [
            slice_in_words(name),
            of.version.version,
            f"{photographs:,}",
            in_unit(points[-1].average, "figure"),
            _NONE if lately is None else f"{lately.low:.3f} to {lately.high:.3f}",
            in_unit(points[-1].value, "figure"),
        ]


def _by_window(series: Sequence[Series]) -> list[list[str]]:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    times: dict[tuple[str, str], float] = {}
    for one in series:
        for line in one.lines:
            for dot in line.dots:
                if dot.value is not None:
                    key = (dot.window, line.version)
                    rows.setdefault(key, {})[one.title] = in_unit(dot.value, one.unit)
                    times[key] = dot.time
    ordered = sorted(rows, key=lambda key: -times[key])
    titles = [one.title for one in series]
    return [[*key, *(rows[key].get(title, _NONE) for title in titles)] for key in ordered]
