"""A figure in time as Vega-Lite has it.

In plain values: Altair checks them against Vega-Lite's schema, which for the charts of one page
took four times as long as drawing them. A test does that once.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from components.monitor.page.words import Unit

SMALL, NARROW, WIDE = (300, 130), (300, 200), (980, 250)
"""Width and height in pixels of the page."""
COLOURS = 6
"""Versions with a colour of their own: `--version-0`, the latest, and so on in the page's style."""
Values = dict[str, Any]
_DAY = 86400
_INK, _QUIET, _LINE, _BAD = "currentColor", "var(--quiet)", "var(--line)", "var(--bad)"
_FORMATS: dict[Unit, str] = {"figure": ".2f", "share": ".0%", "hours": ",.0f", "count": ",.0f"}
_CONFIG = {
    "background": "transparent",
    "font": "inherit",
    "view": {"stroke": None},
    "mark": {"aria": False},
    "axis": {
        "aria": False,
        "labelColor": _INK,
        "gridColor": _LINE,
        "domainColor": _LINE,
        "tickColor": _LINE,
        "labelFontSize": 11,
    },
}
_MEASURED = [{"filter": "datum.kind == 'measured'"}]
_AVERAGED = [{"filter": "datum.kind == 'measured' && isValid(datum.average)"}]
"""The line joins windows across those without the figure."""
_ESTIMATED = [{"filter": "datum.kind != 'measured'"}]
_ALARMS = [{"filter": "datum.alarm && isValid(datum.value)"}]


class Frame(NamedTuple):
    """What charts of a page have in common.

    Attributes:
        begin: Where time begins, in seconds since 1970.
        end: Where it ends.
        marks: What happened: when, its number, and whether it is bad.
        versions: All versions that are drawn, the latest first: each has one colour in all charts.
    """

    begin: float
    end: float
    marks: Sequence[tuple[float, str, bool]]
    versions: Sequence[str]


def specification(
    rows: Sequence[Values], unit: Unit, frame: Frame, size: tuple[int, int], pointed: bool
) -> Values:
    """A chart of rows as `rows_of` gives them.

    Args:
        rows: The data.
        unit: Of the values.
        frame: Time and versions.
        size: Width and height.
        pointed: Whether there is something to point at, which in print would be bytes alone.
    """
    x, colour = _x(frame, size), _colour(frame.versions)
    common = {"x": x, "color": colour}
    value, average = (_y(field, unit) for field in ("value", "average"))
    dense = len({row["time"] for row in rows}) > size[0] / 8
    layers = [
        *_marks(frame, x, size),
        # A path through few values may have no length: intervals are strokes of their own.
        {
            "mark": {"type": "rule", "strokeWidth": 1.5 if dense else 3},
            "encoding": {**common, "y": _y("low", unit), "y2": {"field": "high"}}
            | {
                "opacity": {
                    "condition": {"test": "datum.kind == 'measured'", "value": 0.3},
                    "value": 0.13,
                }
            },
        },
        {
            "transform": _MEASURED,
            "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.55},
            "encoding": {**common, "y": value},
        },
        {
            "transform": _MEASURED,
            "mark": {"type": "point", "filled": True, "opacity": 0.85, "size": 8 if dense else 22},
            "encoding": {**common, "y": value},
        },
    ]
    if any(row["average"] is not None for row in rows):
        mark = {"type": "line", "strokeWidth": 2.4}
        layers.append({"transform": _AVERAGED, "mark": mark, "encoding": {**common, "y": average}})
    if any(row["kind"] != "measured" for row in rows):
        mark = {"type": "line", "strokeWidth": 1.6, "strokeDash": [5, 4]}
        layers.append({"transform": _ESTIMATED, "mark": mark, "encoding": {**common, "y": value}})
    if any(row["alarm"] for row in rows):
        mark = {"type": "point", "shape": "diamond", "filled": True, "color": _BAD}
        mark |= {"opacity": 1, "size": 70}
        layers.append({"transform": _ALARMS, "mark": mark, "encoding": {"x": x, "y": value}})
    if pointed:
        mark = {"type": "point", "filled": True, "opacity": 0, "size": 240}
        encoding = {**common, "y": value, "tooltip": _tooltip(rows)}
        layers.append({"mark": mark, "encoding": encoding})
    return {
        "data": {"values": list(rows)},
        "width": size[0],
        "height": size[1],
        "layer": layers,
        "config": _CONFIG,
    }


def _x(frame: Frame, size: tuple[int, int]) -> Values:
    days = (frame.end - frame.begin) / _DAY
    shape = "%d %b %H:%M" if days < 4 else "%d %b" if days < 300 else "%b %Y"
    ticks = size[0] // (110 if days < 4 else 75)
    return {
        "field": "time",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "domain": [_milliseconds(frame.begin), _milliseconds(frame.end)]},
        "axis": {"grid": False, "format": shape, "tickCount": ticks, "labelOverlap": True},
    }


def _y(field: str, unit: Unit) -> Values:
    return {
        "field": field,
        "type": "quantitative",
        "title": None,
        "scale": {"zero": unit != "figure", "nice": True},
        "axis": {"tickCount": 4, "format": _FORMATS[unit]},
    }


def _colour(versions: Sequence[str]) -> Values:
    colours = [f"var(--version-{min(place, COLOURS - 1)})" for place in range(len(versions))]
    scale = {"domain": list(versions), "range": colours}
    return {"field": "version", "type": "nominal", "legend": None, "scale": scale}


def _marks(frame: Frame, x: Values, size: tuple[int, int]) -> list[Values]:
    """What happened, as rules; in a wide chart with the number that the list of it has."""
    if not frame.marks:
        return []
    rows = [
        {"time": _milliseconds(time), "number": number, "bad": bad}
        for time, number, bad in frame.marks
    ]
    colour = {"condition": {"test": "datum.bad", "value": _BAD}, "value": _QUIET}
    rules = {
        "data": {"values": rows},
        "mark": {"type": "rule", "strokeDash": [2, 3], "strokeWidth": 1.2},
        "encoding": {"x": x, "color": colour},
    }
    numbers = {
        "data": {"values": rows},
        "mark": {"type": "text", "dy": -8, "fontSize": 11, "fontWeight": "bold"},
        "encoding": {"x": x, "y": {"value": 0}, "color": colour}
        | {"text": {"field": "number", "type": "nominal"}},
    }
    return [rules, numbers] if size == WIDE else [rules]


def _tooltip(rows: Sequence[Values]) -> list[Values]:
    shown = {"window": "Window", "version": "Version", "shown": "Value"}
    if any(row["low"] is not None for row in rows):
        shown["range"] = "Range"
    if any(row["average"] is not None for row in rows):
        shown["average"] = "Moving average"
    if any(row["photographs"] is not None for row in rows):
        shown["photographs"] = "Photographs"
    if any(row["kind"] != "measured" for row in rows):
        shown["kind"] = "Is"
    forms = {"average": ".3f", "photographs": ",d"}
    return [
        {"field": name, "title": title, "type": "quantitative", "format": forms[name]}
        if name in forms
        else {"field": name, "title": title, "type": "nominal"}
        for name, title in shown.items()
    ]


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
