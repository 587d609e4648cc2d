"""Floors: metrics that are below what they must reach, by bets on each photograph with a label.

Floors have a tenth of the rate for themselves (`floor_rate`), shared out over metrics, and over
slices in the order in which they came: so no number of slices must be known beforehand.
"""

import itertools
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from components.monitor.alerts.alert import Finding
from components.monitor.alerts.changes import begin
from components.monitor.alerts.damping import Look, present_episode
from components.monitor.alerts.settings import AlertSettings
from components.monitor.alerts.words import day, of_slice
from components.monitor.quality.floors import floor_evidence
from components.monitor.sequential.alarms import floor_rate
from components.monitor.sequential.starts import start_weight
from darkroom.anytime import Interval
from darkroom.intervals import wilson

_OVERALL = "{}"
_ROWS = """
    SELECT slice, window, value, count FROM metrics
    WHERE version = ? AND metric = ? AND value IS NOT NULL AND count > 0 ORDER BY slice, window
"""


class _Measured(NamedTuple):
    """A metric of a slice in a window: photographs that have it, and all with a label."""

    window: int
    hits: int
    total: int


def broken_floors(
    connection: sqlite3.Connection, version: str, settings: AlertSettings, rate: float
) -> Iterator[Finding]:
    """The floors that a version is below of.

    Args:
        connection: The database.
        version: The model's version.
        settings: The floors.
        rate: Of false alarms over the version's life.
    """
    rows = connection.execute(
        "SELECT window FROM windows WHERE version = ? ORDER BY window", (version,)
    )
    windows = [window for (window,) in rows]
    for metric, floor in settings.floors.items():
        slices = _slices(connection, version, metric)
        # All photographs have half of the metric's part, and all slices the other half.
        part = floor_rate(rate) / len(settings.floors) / 2
        if floor.at_least is not None and _OVERALL in slices:
            looks = _looks(slices[_OVERALL], windows, floor.at_least, part)
            found = (metric, slices[_OVERALL], looks, floor.at_least)
            yield from _finding(connection, version, *found, settings.quiet_windows)
        slices.pop(_OVERALL, None)
        if floor.every_slice_at_least is None:
            continue
        for place, name in enumerate(_by_first(slices), 1):
            of_slice = part * start_weight(float(place))
            looks = _looks(slices[name], windows, floor.every_slice_at_least, of_slice)
            found = (f"{metric} {name}", slices[name], looks, floor.every_slice_at_least)
            yield from _finding(connection, version, *found, settings.quiet_windows)


def _slices(
    connection: sqlite3.Connection, version: str, metric: str
) -> dict[str, list[_Measured]]:
    rows = connection.execute(_ROWS, (version, metric))
    return {
        name: [_Measured(window, round(value * count), count) for _, window, value, count in group]
        for name, group in itertools.groupby(rows, lambda row: row[0])
    }


def _by_first(slices: Mapping[str, Sequence[_Measured]]) -> list[str]:
    return sorted(slices, key=lambda name: (slices[name][0].window, name))


def _looks(
    measured: Sequence[_Measured], windows: Sequence[int], floor: float, error: float
) -> list[Look]:
    of_window = {each.window: each for each in measured}
    counted = [of_window[window][1:] if window in of_window else (0, 0) for window in windows]
    evidence = dict(zip(windows, floor_evidence(floor, counted), strict=True))
    return [
        Look(
            window,
            bool(evidence[window] >= -math.log(error)),
            window,
            hits / total,
            Interval(floor, 1),
        )
        for window, hits, total in measured
    ]


def _finding(
    connection: sqlite3.Connection,
    version: str,
    subject: str,
    measured: Sequence[_Measured],
    looks: Sequence[Look],
    floor: float,
    quiet: int,
) -> Iterator[Finding]:
    episode = present_episode(looks, 1, quiet)
    if episode is None:
        return
    # Windows below the floor, one after the other, up to the one that it was seen in.
    below = itertools.takewhile(
        lambda look: look.value is not None and look.value < floor,
        (look for look in reversed(looks) if look.window <= episode.opened),
    )
    since = min((look.window for look in below), default=episode.opened)
    counted = [each for each in measured if since <= each.window <= episode.seen]
    hits, total = sum(each.hits for each in counted), sum(each.total for each in counted)
    low, high = wilson(hits, total)
    began = begin(connection, version, since)
    message = (
        f"{of_slice(subject)}: {hits / total:.3f} since {day(began)} ({low:.3f} to {high:.3f}, of "
        f"{total} photographs), below the floor of {floor:g}"
    )
    figures = {"floor": floor, "after": hits / total, "low": low, "high": high}
    figures |= {"photographs": total}
    yield Finding(
        version,
        "floor",
        subject,
        episode.opened,
        message,
        {**figures, "since": began, "window": since},
    )
