"""Tells what has not been told: one message of all alerts that are new, by every channel."""

import json
import logging
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence

from components.monitor.alerts.alert import OF_THE_MODEL, Alert, open_alerts
from components.monitor.alerts.answering import muted_until
from components.monitor.alerts.update import SAMPLES
from components.monitor.delivery.message import alerts_message
from components.monitor.delivery.photographs import Found, find_photographs
from components.monitor.settings import MonitorSettings
from components.monitor.state.assignment import seconds as window_seconds
from components.monitor.state.database import transaction
from darkroom.channels.tell import SENT
from darkroom.channels.tell import tell as send

_log = logging.getLogger("darkroom.monitor")


def tell(
    connection: sqlite3.Connection,
    settings: MonitorSettings,
    page_address: str = "",
    now: float | None = None,
) -> dict[str, str]:
    """Tells of the open alerts that nobody has been told of.

    Alerts that are muted or acknowledged are left out, and so is one that comes after others of the
    same cause: of the same kind and version, since the same window. A channel that fails is a
    warning in the log, and is told at the next run; the others are not told again. A run that is
    killed between sending and noting it sends once more.

    Args:
        connection: The database.
        settings: Who is told, and where photographs lie.
        page_address: Where the dashboard is; "" if nobody can open it.
        now: Seconds since 1970.

    Returns:
        For each channel that was used `sent`, or why not.
    """
    moment = time.time() if now is None else now
    with transaction(connection):
        for alert in _untold(connection, moment):
            if (cause := _same_cause(connection, alert)) is not None:
                connection.execute(
                    "UPDATE alerts SET told = ? WHERE id = ?", (cause.told, alert.id)
                )
    alerts = _untold(connection, moment)
    if not alerts or not settings.notify.names:
        return {}
    found = _placed(connection, settings, alerts)
    sent: dict[str, str] = {}
    for channel in settings.notify.names:
        waiting = _waiting(connection, channel, alerts)
        if waiting:
            photographs = found if channel == "email" else {}
            message = alerts_message(settings.model or "", waiting, page_address, photographs)
            sent |= send(message, settings.notify, _log, (channel,))
            if sent[channel] == SENT:
                _note(connection, channel, waiting, moment)
    _finish(connection, settings.notify.names, alerts, moment)
    return sent


def _untold(connection: sqlite3.Connection, now: float) -> list[Alert]:
    return [
        alert
        for alert in open_alerts(connection)
        if alert.told is None
        and alert.acknowledged is None
        and muted_until(connection, alert, now) is None
    ]


def _same_cause(connection: sqlite3.Connection, alert: Alert) -> Alert | None:
    """An open alert that was told, of the same kind and version, since the same window."""
    since = alert.figures.get("window")
    if alert.kind in OF_THE_MODEL or since is None:
        return None
    (size,) = connection.execute("SELECT value FROM settings WHERE name = 'window'").fetchone()
    step = window_seconds(json.loads(size)) or 1
    for other in open_alerts(connection):
        if (other.kind, other.version) == (alert.kind, alert.version) and other.told is not None:
            of_other = other.figures.get("window")
            if of_other is not None and abs(of_other - since) <= step:
                return other
    return None


def _placed(
    connection: sqlite3.Connection, settings: MonitorSettings, alerts: Sequence[Alert]
) -> dict[str, Found]:
    """Finds the sample photographs of alerts, and notes where they lie."""
    ids = {sample["image_id"] for alert in alerts for sample in alert.figures.get(SAMPLES, ())}
    found = find_photographs(settings, ids) if ids else {}
    with transaction(connection):
        for alert in alerts:
            for sample in alert.figures.get(SAMPLES, ()):
                if sample["image_id"] in found:
                    sample["where"] = found[sample["image_id"]].where
            connection.execute(
                "UPDATE alerts SET figures = ? WHERE id = ?",
                (json.dumps(alert.figures, ensure_ascii=False, allow_nan=False), alert.id),
            )
    return found


def _waiting(connection: sqlite3.Connection, channel: str, alerts: Iterable[Alert]) -> list[Alert]:
    rows = connection.execute("SELECT alert FROM tellings WHERE channel = ?", (channel,))
    told = {alert for (alert,) in rows}
    return [alert for alert in alerts if alert.id not in told]


def _note(
    connection: sqlite3.Connection, channel: str, alerts: Iterable[Alert], now: float
) -> None:
    with transaction(connection):
        connection.executemany(
            "INSERT OR IGNORE INTO tellings VALUES (?, ?, ?)",
            [(alert.id, channel, now) for alert in alerts],
        )


def _finish(
    connection: sqlite3.Connection, channels: Collection[str], alerts: Iterable[Alert], now: float
) -> None:
    """Those that every channel has been told of are told."""
    left = {alert.id for channel in channels for alert in _waiting(connection, channel, alerts)}
    with transaction(connection):
        connection.executemany(
            "UPDATE alerts SET told = ? WHERE id = ?",
            [(now, alert.id) for alert in alerts if alert.id not in left],
        )
