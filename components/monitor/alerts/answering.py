"""What people say to alerts: that somebody looks after one, or that some are not to be told."""

import sqlite3
import time

from components.monitor.alerts.alert import Alert, open_alerts, read_alerts
from components.monitor.alerts.words import day, text_of
from components.monitor.state.database import transaction
from darkroom.errors import SettingsError
from darkroom.settings import nearest

KINDS = ("floor", "fall", "drift", "no_traffic", "labels_stopped")


def acknowledge(
    connection: sqlite3.Connection, alert: int, by: str, now: float | None = None
) -> Alert:
    """Notes that somebody looks after an alert: no channel is told of it any more.

    Who was first stays noted. The alert closes as any other.

    Args:
        connection: The database.
        alert: Its id.
        by: Who looks after it.
        now: Seconds since 1970.

    Returns:
        The alert.

    Raises:
        SettingsError: There is no such alert.
    """
    with transaction(connection):
        connection.execute(
            "UPDATE alerts SET acknowledged = ?, acknowledged_by = ? "
            "WHERE id = ? AND acknowledged IS NULL",
            (time.time() if now is None else now, by, alert),
        )
        found = read_alerts(connection, "id = ?", alert)
    if not found:
        known = ", ".join(str(each.id) for each in open_alerts(connection)) or "none"
        raise SettingsError(f"no alert has the number {alert}; open: {known}")
    return found[0]


def mute(connection: sqlite3.Connection, kind: str, subject: str, until: float) -> None:
    """Keeps the channels from being told of alerts for a time; they open and close all the same.

    One that is still open when the time is over is told then.

    Args:
        connection: The database.
        kind: Of the alerts, such as `drift`.
        subject: As the alert has it, such as `brightness`; "" for all of the kind.
        until: Seconds since 1970.

    Raises:
        SettingsError: There is no such kind.
    """
    _check(kind)
    with transaction(connection):
        connection.execute("REPLACE INTO mutes VALUES (?, ?, ?)", (kind, subject, until))


def unmute(connection: sqlite3.Connection, kind: str, subject: str) -> bool:
    """Lets the channels be told again.

    Args:
        connection: The database.
        kind: As it was muted.
        subject: As it was muted.

    Returns:
        Whether it was muted.

    Raises:
        SettingsError: There is no such kind.
    """
    _check(kind)
    with transaction(connection):
        cursor = connection.execute(
            "DELETE FROM mutes WHERE kind = ? AND subject = ?", (kind, subject)
        )
    return cursor.rowcount > 0


def muted_until(connection: sqlite3.Connection, alert: Alert, now: float) -> float | None:
    """Until when nobody is told of an alert; None if it is not muted."""
    (until,) = connection.execute(
        "SELECT max(until) FROM mutes WHERE kind = ? AND subject IN (?, '') AND until > ?",
        (alert.kind, alert.subject, now),
    ).fetchone()
    return None if until is None else float(until)


def alerts_table(connection: sqlite3.Connection, now: float | None = None) -> str:
    """The open alerts, one a line, to be read.

    Args:
        connection: The database.
        now: Seconds since 1970.
    """
    moment = time.time() if now is None else now
    rows = [("number", "opened", "version", "kind", "state", "what")]
    for alert in open_alerts(connection):
        opened = day(text_of(alert.opened))
        state = _state(connection, alert, moment)
        rows.append((str(alert.id), opened, alert.version, alert.kind, state, alert.message))
    muted = _muted(connection, moment)
    if len(rows) == 1:
        return "\n".join(["no open alerts", *muted])
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
    return "\n".join([*lines, *muted])


def _muted(connection: sqlite3.Connection, now: float) -> list[str]:
    """What is muted, a line each: a subject that was mistyped is muted in vain."""
    return [
        f"muted until {day(text_of(until))}: {kind}{':' * bool(subject)}{subject}"
        + (f"; no open alert is of {subject}" if subject and not found else "")
        for kind, subject, until, found in connection.execute(
            "SELECT kind, subject, until, EXISTS (SELECT 1 FROM alerts WHERE closed IS NULL "
            "AND alerts.kind = mutes.kind AND alerts.subject = mutes.subject) "
            "FROM mutes WHERE until > ? ORDER BY kind, subject",
            (now,),
        )
    ]


def _state(connection: sqlite3.Connection, alert: Alert, now: float) -> str:
    if alert.acknowledged is not None:
        return f"seen by {alert.acknowledged_by}"
    until = muted_until(connection, alert, now)
    if until is not None:
        return f"muted until {day(text_of(until))}"
    return "not told yet" if alert.told is None else "told"


def _check(kind: str) -> None:
    if kind not in KINDS:
        raise SettingsError(f"'{kind}' is no kind of alert{nearest(kind, KINDS)}")
