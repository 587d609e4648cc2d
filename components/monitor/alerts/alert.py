"""An alert as it is stored, and a finding: what each run sees to be wrong."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Kind = Literal["floor", "fall", "drift", "no_traffic", "labels_stopped"]
OF_THE_MODEL = ("no_traffic", "labels_stopped")
"""Kinds that are of the model, whichever version answers."""
COLUMNS = (
    "id, version, kind, subject, window, opened, closed, message, figures, told, acknowledged, "
    "acknowledged_by"
)


class Finding(NamedTuple):
    """Something that is wrong now.

    Attributes:
        version: The model's version.
        kind: Of what kind it is.
        subject: What of: `accuracy`, `accuracy {"label": "roses"}`, or a family of tests such as
            `brightness`; empty where it is of all.
        window: The window that it was seen in first; None without one.
        message: One plain line.
        figures: The same as JSON values.
    """

    version: str
    kind: Kind
    subject: str
    window: int | None
    message: str
    figures: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, ...]:
        """What two findings share that are the same one."""
        return key(self.version, self.kind, self.subject)


class Alert(NamedTuple):
    """A row of the table `alerts`; times are seconds since 1970."""

    id: int
    version: str
    kind: Kind
    subject: str
    window: int | None
    opened: float
    closed: float | None
    message: str
    figures: Mapping[str, Any]
    told: float | None
    acknowledged: float | None
    acknowledged_by: str | None

    @property
    def key(self) -> tuple[str, ...]:
        """What two alerts share that are the same one."""
        return key(self.version, self.kind, self.subject)


def key(version: str, kind: str, subject: str) -> tuple[str, ...]:
    """What tells an alert from others."""
    return (kind, subject) if kind in OF_THE_MODEL else (kind, subject, version)


def read_alerts(
    connection: sqlite3.Connection, condition: str = "true", *parameters: object
) -> list[Alert]:
    """The alerts of the database, in the order that they were opened in.

    Args:
        connection: The database.
        condition: Which ones, in SQL.
        parameters: Of the condition.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM alerts WHERE {condition} ORDER BY opened, id", parameters
    )
    alerts = map(Alert._make, rows)
    return [alert._replace(figures=json.loads(str(alert.figures))) for alert in alerts]


def open_alerts(connection: sqlite3.Connection) -> list[Alert]:
    """The alerts that are open."""
    return read_alerts(connection, "closed IS NULL")
