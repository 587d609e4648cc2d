"""Drift and falls: tests that alarm, as the windows before were told them (`windows/alarms.py`).

An alert of drift or of a fall is a test that alarms, of a difference that is large enough: it only
takes alarms away, so that the rate which the tests keep over a version's life holds of alerts too.
"""

import itertools
import math
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.monitor.alerts.alert import Finding
from components.monitor.alerts.damping import Episode, Look, present_episode
from components.monitor.alerts.settings import AlertSettings
from components.monitor.alerts.words import Changed
from darkroom.anytime import Interval
from darkroom.intervals import wilson

_ROWS = """
    SELECT test, window, log_e_value, alarm, since, before, after, hits, total
    FROM tests LEFT JOIN shares USING (version, window, test)
    WHERE version = :version
    AND test IN (SELECT DISTINCT test FROM tests WHERE version = :version AND alarm)
    ORDER BY test, window
"""


class _Tested(NamedTuple):
    """A test after a window."""

    test: str
    window: int
    log_e_value: float
    alarm: int
    since: int
    before: float | None
    after: float | None
    hits: int | None
    total: int | None

    @property
    def fall(self) -> float:
        """By how much the share is smaller now; not a number where that is not known."""
        if self.before is None or self.after is None:
            return math.nan
        return self.before - self.after


def changes(
    connection: sqlite3.Connection, version: str, settings: AlertSettings
) -> Iterator[Finding]:
    """The drift and the falls of a version that still last.

    Args:
        connection: The database.
        version: The model's version.
        settings: What is told.
    """
    families: dict[str, list[tuple[Episode, Changed]]] = {}
    rows = map(_Tested._make, connection.execute(_ROWS, {"version": version}))
    for test, group in itertools.groupby(rows, lambda row: row.test):
        tested = _seen(list(group))
        if is_accuracy(test):
            yield from _fall(connection, version, tested, settings)
        elif settings.drift_windows is not None:
            looks = [_drift_look(row, settings.drift_difference) for row in tested]
            episode = present_episode(looks, settings.drift_windows, settings.quiet_windows)
            if episode is not None:
                changed = _changed(connection, version, tested, episode)
                families.setdefault(family_of(test), []).append((episode, changed))
    for family, found in families.items():
        yield _drift(version, family, found)


def is_accuracy(test: str) -> bool:
    """Whether a test is of the accuracy of all photographs or of a slice."""
    return test.split(" ")[0] == "accuracy"


def family_of(test: str) -> str:
    """The family of a test of drift.

    >>> family_of("label=tulips"), family_of("brightness<96"), family_of("embedding")
    ('label', 'brightness', 'embedding')
    """
    return test.partition("=")[0].partition("<")[0]


def _seen(tested: Sequence[_Tested]) -> list[_Tested]:
    """Without the windows in which there was nothing to see of it."""
    if all(row.total is None for row in tested):
        # What is tested is not counted, such as embeddings.
        return [row for row in tested if row.after is not None]
    return [row for row in tested if row.total]


def _value(row: _Tested) -> float | None:
    return None if row.total is None or row.hits is None else row.hits / row.total


def _drift_look(row: _Tested, smallest: float) -> Look:
    normal = Interval(-math.inf, math.inf)
    large = True
    if row.before is not None and row.after is not None:
        large = abs(row.fall) >= smallest
        normal = Interval(row.before - abs(row.fall) / 2, row.before + abs(row.fall) / 2)
    value = None if math.isnan(row.fall) else _value(row)
    return Look(row.window, bool(row.alarm) and large, row.since, value, normal)


def _fall(
    connection: sqlite3.Connection,
    version: str,
    tested: Sequence[_Tested],
    settings: AlertSettings,
) -> Iterator[Finding]:
    let_pass = settings.falls.get("accuracy")
    if let_pass is None:
        return
    looks = []
    for row in tested:
        speaks = bool(row.alarm) and row.fall > let_pass
        middle = -math.inf
        if row.before is not None and row.after is not None:
            middle = (row.before + row.after) / 2
        looks.append(Look(row.window, speaks, row.since, _value(row), Interval(middle, 1.0)))
    episode = present_episode(looks, 1, settings.quiet_windows)
    if episode is None:
        return
    changed = _changed(connection, version, tested, episode)
    message = f"{changed.in_words()}; a fall of {let_pass:g} is let pass"
    figures = {**_figures([changed]), "let_pass": let_pass}
    yield Finding(version, "fall", changed.test, episode.opened, message, figures)


def _drift(version: str, family: str, found: Sequence[tuple[Episode, Changed]]) -> Finding:
    opened = min(episode.opened for episode, _ in found)
    changes = sorted((each for _, each in found), key=lambda each: -each.log_e_value)
    message = changes[0].in_words()
    if len(changes) > 1:
        message += f"; and {len(changes) - 1} more of {family}"
    return Finding(version, "drift", family, opened, message, _figures(changes))


def _changed(
    connection: sqlite3.Connection, version: str, tested: Sequence[_Tested], episode: Episode
) -> Changed:
    """The change as it was when it was seen last: quiet windows after that do not dilute it."""
    (last,) = [row for row in tested if row.window == episode.seen]
    rows = [row for row in tested if last.since <= row.window <= episode.seen]
    hits, total = sum(row.hits or 0 for row in rows), sum(row.total or 0 for row in rows)
    low, high = wilson(hits, total) if total else (None, None)
    return Changed(
        last.test,
        last.before,
        hits / total if total else last.after,
        low,
        high,
        total,
        begin(connection, version, last.since),
        last.since,
        last.log_e_value,
    )


def begin(connection: sqlite3.Connection, version: str, window: int) -> str:
    """When a window begins, ISO 8601: with its first answer."""
    found = connection.execute(
        "SELECT json_extract(figures, '$.first') FROM windows WHERE version = ? AND window = ?",
        (version, window),
    ).fetchone()
    return str(found[0]) if found and found[0] else ""


def _figures(changes: Sequence[Changed]) -> dict[str, object]:
    """The first of them, and all by test."""
    first = changes[0]._asdict()
    return {**first, "tests": [each._asdict() for each in changes]}
