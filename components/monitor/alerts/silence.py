"""Silence: answers that no longer come, and labels that no longer come. No statistics.

How long is too long is set, or learnt: twice the second longest silence so far, so that a model
that rests on Sundays, or is asked once a week, alarms nobody for that. There must be something to
learn from: answers in three windows, labels that came at three times.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from components.monitor.alerts.alert import Finding
from components.monitor.alerts.settings import AlertSettings
from components.monitor.alerts.words import day, how_long, text_of
from darkroom.durations import seconds

_PATIENCE = 2
"""Times the second longest silence so far."""
_DAYS = 3 * 86400.0
"""Seconds without labels that are never too long, where it is learnt: people rest on weekends."""
_HABIT = 3
"""Windows with answers, or times at which labels came, from which on it is learnt."""


class Answered(NamedTuple):
    """The latest answer.

    Attributes:
        version: The version that gave it.
        time: When, in seconds since 1970.
    """

    version: str
    time: float


def silence(
    connection: sqlite3.Connection,
    settings: AlertSettings,
    answered: Answered,
    least: float,
    now: float,
) -> Iterator[Finding]:
    """What no longer comes; a time that has not come yet is none of an answer or a label.

    Args:
        connection: The database.
        settings: How long is too long.
        answered: The latest answer.
        least: Seconds of silence that are never too long, where the length is learnt.
        now: Seconds since 1970.
    """
    if settings.no_traffic is not None:
        allowed = _Allowed(settings.no_traffic, least, "SELECT time FROM answers")
        yield from _no_traffic(connection, allowed, answered, now)
    if settings.labels_stopped is not None:
        patience = max(least, _DAYS)
        allowed = _Allowed(settings.labels_stopped, patience, "SELECT known FROM truths")
        yield from _labels_stopped(connection, allowed, answered, now)


class _Allowed(NamedTuple):
    """How long a silence may be.

    Attributes:
        setting: A duration, or `auto`.
        least: Seconds that are never too long, where it is learnt.
        times: A query of the times that are not to stay away.
    """

    setting: str
    least: float
    times: str

    def exceeded(self, connection: sqlite3.Connection, last: float, now: float) -> float | None:
        """The seconds that are allowed, if the silence since `last` is longer; else None."""
        if self.setting != "auto":
            most = float(seconds(self.setting))
        elif now - last > self.least:
            most = max(self.least, _PATIENCE * self._longest(connection, now))
        else:
            return None
        return most if now - last > most else None

    def _longest(self, connection: sqlite3.Connection, now: float) -> float:
        """The second longest silence so far: the longest may be the one that nobody wanted."""
        found = connection.execute(
            f"""
            WITH times(time) AS ({self.times})
            SELECT time - lag(time) OVER (ORDER BY time) AS gap FROM times WHERE time <= ?
            ORDER BY gap DESC LIMIT 1 OFFSET 1
            """,
            (now,),
        ).fetchone()
        return 0.0 if found is None or found[0] is None else float(found[0])


def _no_traffic(
    connection: sqlite3.Connection, allowed: _Allowed, answered: Answered, now: float
) -> Iterator[Finding]:
    (windows,) = connection.execute("SELECT count(*) FROM windows").fetchone()
    if allowed.setting == "auto" and windows < _HABIT:
        return
    most = allowed.exceeded(connection, answered.time, now)
    if most is not None:
        since = text_of(answered.time)
        message = f"no answers since {day(since)}; {how_long(most)} without any are let pass"
        figures = {"since": since, "let_pass": most}
        yield Finding(answered.version, "no_traffic", "", None, message, figures)


def _labels_stopped(
    connection: sqlite3.Connection, allowed: _Allowed, answered: Answered, now: float
) -> Iterator[Finding]:
    times, first, last = connection.execute(
        "SELECT count(DISTINCT known), min(known), max(known) FROM truths WHERE known <= ?", (now,)
    ).fetchone()
    # A table that came once is no habit, and without answers there is nothing to label.
    if times < _HABIT or last - first < allowed.least or answered.time <= last:
        return
    most = allowed.exceeded(connection, last, now)
    if most is not None:
        (waiting,) = connection.execute(
            "SELECT count(*) FROM answers WHERE counted AND time > ? AND time <= ?", (last, now)
        ).fetchone()
        since = text_of(last)
        message = (
            f"no new labels since {day(since)}; {how_long(most)} without any are let pass; "
            f"photographs answered since: {waiting}"
        )
        figures = {"since": since, "let_pass": most, "photographs": waiting}
        yield Finding(answered.version, "labels_stopped", "", None, message, figures)
