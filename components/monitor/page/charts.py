"""The page's charts: Vega-Lite, drawn as SVG in the page's own colours, and read by pointing.

Each is drawn here already, so that it is there in print and without JavaScript; where a browser's
pointer is over one, the page's script draws it again with the values under the pointer.
"""

import functools
import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from components.monitor.page.events import Mark
from components.monitor.page.specification import SMALL, Frame, specification
from components.monitor.page.timeline import Series
from components.monitor.page.words import Unit, in_unit

_LEAST_ROOM = 1800
"""Seconds: also where there is one window."""
_CLOSE = 0.03
"""Share of the drawing's width within which things that happened have one number together."""
_NAMES = re.compile(r'\s(xmlns(:xlink)?|version|(aria|role)[-a-z]*)="[^"]*"')
"""Of no use within an HTML page, or replaced by one description of the whole."""


class Chart(NamedTuple):
    """A chart in the page.

    Attributes:
        title: What it shows.
        about: What that says.
        svg: The chart as it is drawn here.
        specification: Vega-Lite's, as JSON.
    """

    title: str
    about: str
    svg: str
    specification: str


@functools.cache
def script() -> str:
    """The page's script, with all that draws charts: Vega, Vega-Lite and vega-embed."""
    import vl_convert

    source = Path(__file__).with_name("page.js").read_text("utf-8")
    bundle: str = vl_convert.javascript_bundle(source)
    return bundle.replace("</script", "<\\/script")


def frame_of(
    series: Iterable[Series], marks: Sequence[Mark], versions: Sequence[str]
) -> tuple[Frame, list[tuple[str, list[Mark]]]]:
    """What all charts show: the time of all windows and of what happened since they began.

    Args:
        series: Series of all windows.
        marks: What happened, in order.
        versions: The versions that are drawn, the latest first.

    Returns:
        The frame, and the marks that are in it by the number that they have there.
    """
    times = [dot.time for one in series for line in one.lines for dot in line.dots]
    first, last = min(times), max(times)
    inside = [mark for mark in marks if mark.time >= first - _room(first, last)]
    ends = [first, last, *(mark.time for mark in inside)]
    room = _room(min(ends), max(ends))
    begin, end = min(ends) - room, max(ends) + room
    groups = grouped(inside, _CLOSE * (end - begin))
    found = [
        (group[0].time, number, any(mark.kind == "rolled_back" for mark in group))
        for number, group in groups
    ]
    return Frame(begin, end, found, versions), groups


def grouped(marks: Sequence[Mark], close: float) -> list[tuple[str, list[Mark]]]:
    """Marks by the number that is drawn of them; those that are close have one together.

    Args:
        marks: In order.
        close: Seconds.

    >>> marks = [Mark(at, "pushed", "", "") for at in (10, 50, 51)]
    >>> [len(group) for _, group in grouped(marks, 2)]
    [1, 2]
    """
    groups: list[list[Mark]] = []
    for mark in marks:
        if groups and mark.time - groups[-1][0].time <= close:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    found, place = [], 1
    for group in groups:
        last = place + len(group) - 1
        found.append((str(place) if last == place else f"{place}\N{EN DASH}{last}", group))
        place = last + 1
    return found


def _room(first: float, last: float) -> float:
    return max(0.03 * (last - first), _LEAST_ROOM)


def timeline(series: Series, frame: Frame, size: tuple[int, int] = SMALL) -> Chart:
    """A figure in time.

    Args:
        series: The figure.
        frame: What it has in common with the page's other charts.
        size: Width and height.
    """
    import vl_convert

    rows = rows_of(series)
    still, pointed = (
        specification(rows, series.unit, frame, size, is_pointed) for is_pointed in (False, True)
    )
    svg: str = vl_convert.vegalite_to_svg(still)
    svg = _NAMES.sub("", svg).replace(
        "<svg", f'<svg role="img" aria-label="{escape(series.in_words)}"', 1
    )
    return Chart(series.title, series.about, svg, in_page(pointed))


def chooser(series: Sequence[Series], frame: Frame) -> dict[str, Any]:
    """A chart whose data the page's script puts in: any of several series of one kind."""
    rows = [row for one in series for row in rows_of(one)]
    return specification(rows, series[0].unit, frame, SMALL, True) | {"data": {"values": []}}


def in_page(values: Any) -> str:
    """JSON, escaped to be put into an element of the page."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    # `</script>` in a label would end the element that holds it.
    return text.replace("<", "\\u003c")


def rows_of(series: Series) -> list[dict[str, Any]]:
    """A series as rows of a chart's data."""
    return [
        {
            "time": round(dot.time * 1000),
            "window": dot.window,
            "version": line.version,
            "value": _rounded(dot.value),
            "shown": in_unit(dot.value, series.unit),
            "low": _rounded(dot.low),
            "high": _rounded(dot.high),
            "range": _range(dot.low, dot.high, series.unit),
            "average": None if line.is_estimated else _rounded(dot.average),
            "photographs": dot.photographs,
            "kind": "estimated without labels" if line.is_estimated else "measured",
            "alarm": dot.alarm,
        }
        for line in series.lines
        for dot in line.dots
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _range(low: float | None, high: float | None, unit: Unit) -> str:
    if low is None or high is None:
        return "\N{EN DASH}"
    return f"{in_unit(low, unit)} to {in_unit(high, unit)}"
