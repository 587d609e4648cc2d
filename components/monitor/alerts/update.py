"""Opens and closes alerts, as the windows and the clock say."""

import json
import logging
import math
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from components.monitor.alerts.alert import OF_THE_MODEL, Alert, Finding, open_alerts, read_alerts
from components.monitor.alerts.changes import changes
from components.monitor.alerts.floors import broken_floors
from components.monitor.alerts.samples import worst_photographs
from components.monitor.alerts.settings import AlertSettings
from components.monitor.alerts.silence import Answered, silence
from components.monitor.state.assignment import seconds as window_seconds
from components.monitor.state.database import transaction
from darkroom.durations import seconds

_log = logging.getLogger("darkroom.monitor")

_DAY = 86400
_WINDOWS = 2
"""Windows of silence after which a version has ended, if another one answers."""
_ANSWERS = 100
"""Answers after which it has, if the one that gives them was promoted in its place."""
SAMPLES = "samples"
"""In an alert's figures: its sample photographs, as they were when it was opened."""


def update_alerts(
    connection: sqlite3.Connection, settings: AlertSettings, now: float
) -> list[Alert]:
    """Brings the table `alerts` up to date, in one transaction.

    What is wrong is a function of the windows, the settings and the time; so to run it again
    changes nothing, and a run that was killed is made good by the next. Alerts of drift and falls
    are those of `tests` that matter, and floors have a part of the rate for themselves: over the
    life of a version in which nothing changes, and which is over its floors, the probability of any
    alert of these three kinds is at most `monitor.rate`. `no_traffic` and `labels_stopped` go by
    the clock; they are no statistics.

    Args:
        connection: The database, whose windows have been written.
        settings: What is told.
        now: Seconds since 1970.

    Returns:
        The alerts that were opened, opened again or closed.
    """
    with transaction(connection):
        settled = dict(connection.execute("SELECT name, value FROM settings").fetchall())
        if "rate" not in settled:
            return []  # nothing has been watched
        window = window_seconds(json.loads(settled["window"])) or _DAY
        answered = _answered(connection, now)
        latest = {version: last for version, (_, last) in answered.items()}
        ended = _ended(latest, _WINDOWS * window) | _superseded(connection, answered)
        found: list[Finding] = []
        for version in latest:
            if version not in ended:
                found += changes(connection, version, settings)
                rate = json.loads(settled["rate"])
                found += broken_floors(connection, version, settings, rate)
        if latest:
            newest = max(latest, key=lambda version: latest[version])
            by_newest = Answered(newest, latest[newest])
            found += silence(connection, settings, by_newest, _WINDOWS * window, now)
        changed = list(_settle(connection, settings, found, ended, now))
    for alert in changed:
        _log.log(*_said(alert))
    return changed


def _answered(connection: sqlite3.Connection, now: float) -> dict[str, tuple[float, float]]:
    """When each version answered first and last; a clock that is ahead is none to go by."""
    rows = connection.execute(
        "SELECT version, min(time), coalesce(max(time) FILTER (WHERE time <= ?), min(time)) "
        "FROM answers GROUP BY version",
        (now,),
    )
    return {version: (first, min(last, now)) for version, first, last in rows}


def _ended(latest: Mapping[str, float], patience: float) -> dict[str, str]:
    """The versions that another one answers in place of, and that one."""
    if not latest:
        return {}
    newest = max(latest, key=lambda version: latest[version])
    return {version: newest for version, last in latest.items() if latest[newest] - last > patience}


def _superseded(
    connection: sqlite3.Connection, answered: Mapping[str, tuple[float, float]]
) -> dict[str, str]:
    """The versions that another one took the place of by the push log, and that one.

    It has answered often enough since the last answer of the former one: a server needs some
    seconds to follow.
    """
    found: dict[str, str] = {}
    marks = connection.execute(
        "SELECT time, version FROM marks WHERE kind IN ('pushed', 'promoted') ORDER BY time DESC"
    ).fetchall()
    for promoted, version in marks:
        _, latest = answered.get(version, (0.0, 0.0))
        for former, (first, last) in answered.items():
            is_before = former != version and first < promoted and last < latest
            if is_before and former not in found and _answers_often(connection, version, last):
                found[former] = version
    return found


def _answers_often(connection: sqlite3.Connection, version: str, since: float) -> bool:
    (count,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM answers WHERE version = ? AND time > ? LIMIT ?)",
        (version, since, _ANSWERS),
    ).fetchone()
    return bool(count == _ANSWERS)


def _settle(
    connection: sqlite3.Connection,
    settings: AlertSettings,
    found: list[Finding],
    ended: Mapping[str, str],
    now: float,
) -> Iterator[Alert]:
    """Makes the open alerts those that were found."""
    wrong = {finding.key: finding for finding in found}
    for alert in open_alerts(connection):
        finding = wrong.pop(alert.key, None)
        if finding is None and alert.version not in ended and _is_unknown(connection, alert):
            continue
        if finding is None:
            yield _closed(connection, alert, ended, now)
        else:
            _written(connection, alert, finding)
    for finding in wrong.values():
        before = _before(connection, finding, now - seconds(settings.again))
        if before is None:
            yield _opened(connection, finding, now)
        else:
            connection.execute("UPDATE alerts SET closed = NULL WHERE id = ?", (before.id,))
            _written(connection, before, finding)
            yield read_alerts(connection, "id = ?", before.id)[0]


def _is_unknown(connection: sqlite3.Connection, alert: Alert) -> bool:
    """Whether windows are not tested, since what they are held against is gone."""
    (untested,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM windows WHERE version = ? AND NOT tested)", (alert.version,)
    ).fetchone()
    return alert.kind in ("drift", "fall") and bool(untested)


def _closed(
    connection: sqlite3.Connection, alert: Alert, ended: Mapping[str, str], now: float
) -> Alert:
    why = "it is no longer so"
    if alert.version in ended and alert.kind not in OF_THE_MODEL:
        why = f"version {ended[alert.version]} answers in place of version {alert.version}"
    figures = {**alert.figures, "closed_because": why}
    # A clock may have gone back.
    closed = max(now, alert.opened)
    connection.execute(
        "UPDATE alerts SET closed = ?, figures = ? WHERE id = ?", (closed, _json(figures), alert.id)
    )
    return alert._replace(closed=closed, figures=figures)


def _written(connection: sqlite3.Connection, alert: Alert, finding: Finding) -> None:
    """Writes the latest figures of an alert that stays open."""
    samples = {SAMPLES: alert.figures[SAMPLES]} if SAMPLES in alert.figures else {}
    content = (finding.message, _json({**finding.figures, **samples}))
    if content != (alert.message, _json(alert.figures)):
        connection.execute(
            "UPDATE alerts SET message = ?, figures = ? WHERE id = ?", (*content, alert.id)
        )


def _before(connection: sqlite3.Connection, finding: Finding, since: float) -> Alert | None:
    """The same alert, closed since then."""
    closed = read_alerts(connection, "kind = ? AND closed >= ?", finding.kind, since)
    return next((alert for alert in reversed(closed) if alert.key == finding.key), None)


def _opened(connection: sqlite3.Connection, finding: Finding, now: float) -> Alert:
    figures = {**finding.figures, SAMPLES: worst_photographs(connection, finding)}
    cursor = connection.execute(
        "INSERT INTO alerts (version, kind, subject, window, opened, message, figures) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*finding[:4], now, finding.message, _json(figures)),
    )
    return read_alerts(connection, "id = ?", cursor.lastrowid)[0]


def _json(figures: Mapping[str, Any]) -> str:
    return json.dumps(_finite(figures), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    """The value with null for what is not a number, which JSON does not know."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _said(alert: Alert) -> tuple[int, str, object, object, object]:
    if alert.closed is not None:
        return (
            logging.INFO,
            "alert %s closed: %s (%s)",
            alert.id,
            alert.message,
            alert.figures.get("closed_because"),
        )
    return logging.WARNING, "alert %s, version %s: %s", alert.id, alert.version, alert.message
