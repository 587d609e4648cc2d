"""The newest windows of each version, a few figures each: what people look at first."""

import collections
import sqlite3
from typing import Any

from components.monitor.windows.history import Point, series, versions, windows

WINDOWS = 10
"""Of a version, at most."""


def newest_windows(connection: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    """The newest windows by version, the latest first.

    Returns:
        JSON values: `first` and `last` are times of answers, `accuracy` and `estimated` have an
        interval, or are None where there are no labels or no reference; `alarms` are the tests
        that alarm.
    """
    return {version: _newest(connection, version) for version in versions(connection)}


def _newest(connection: sqlite3.Connection, version: str) -> list[dict[str, Any]]:
    points = {point.window: point for point in series(connection, version, "accuracy")}
    found = collections.deque(windows(connection, version), WINDOWS)
    return [
        {
            "window": each.window,
            "first": each.figures["first"],
            "last": each.figures["last"],
            "photographs": each.figures["photographs"],
            "labelled": each.figures["labelled"],
            "accuracy": _accuracy(points.get(each.window)),
            "estimated": each.figures["estimated"],
            "alarms": list(each.alarms),
        }
        for each in reversed(found)
    ]


def _accuracy(point: Point | None) -> dict[str, float | None] | None:
    if point is None:
        return None
    return {"accuracy": point.value, "low": point.low, "high": point.high}
