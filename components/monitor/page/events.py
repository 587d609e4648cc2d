"""What happened: alerts, what became of versions, retrainings."""

import json
import sqlite3
from typing import Any, NamedTuple


class Alert(NamedTuple):
    """An alert.

    Attributes:
        version: The model's version.
        kind: What is wrong, such as `floor`.
        subject: What of: a metric and its slice, or a test; "" is all.
        opened: Since when it holds, in seconds since 1970.
        closed: Until when it held; None if it holds.
        message: What is said of it.
        figures: Its figures, by name.
        acknowledged: When somebody has seen to it; None if nobody has.
        acknowledged_by: Who.
        muted_until: Until when nobody is told of it; None if it is not muted.
    """

    version: str
    kind: str
    subject: str
    opened: float
    closed: float | None
    message: str
    figures: dict[str, Any]
    acknowledged: float | None
    acknowledged_by: str | None
    muted_until: float | None

    @property
    def photographs(self) -> list[str]:
        """The image ids of photographs that show what is wrong."""
        samples = self.figures.get("samples")
        found = samples if isinstance(samples, list) else []
        return [one["image_id"] for one in found if isinstance(one, dict) and "image_id" in one]

    @property
    def state(self) -> str:
        """`closed`, `muted`, `acknowledged` or `open`."""
        if self.closed is not None:
            return "closed"
        if self.muted_until is not None:
            return "muted"
        return "open" if self.acknowledged is None else "acknowledged"

    @property
    def urgency(self) -> tuple[int, int, int, float]:
        """Orders alerts: open ones first; of these accuracy, and that of all before slices."""
        states = ("open", "muted", "acknowledged", "closed")
        kinds = ("floor", "fall", "no_traffic", "labels_stopped", "drift")
        kind = kinds.index(self.kind) if self.kind in kinds else len(kinds)
        return states.index(self.state), kind, "{" in self.subject, -self.opened


class Mark(NamedTuple):
    """Something that happened to the model.

    Attributes:
        time: When, in seconds since 1970.
        kind: `pushed`, `canary`, `promoted`, `rolled_back` or `retraining`.
        version: The version that it happened to; "" if it is of none.
        text: What there is to say of it.
    """

    time: float
    kind: str
    version: str
    text: str


def read_alerts(connection: sqlite3.Connection, now: float) -> list[Alert]:
    """All alerts: those that hold first, and of each the latest first.

    Args:
        connection: The database.
        now: Seconds since 1970; mutes that ended before do not count.
    """
    rows = connection.execute(
        """
        SELECT version, kind, subject, opened, closed, message, figures, acknowledged,
            acknowledged_by, (
                SELECT max(until) FROM mutes WHERE mutes.kind = alerts.kind
                AND mutes.subject IN ('', alerts.subject) AND until > ?
            )
        FROM alerts ORDER BY closed IS NOT NULL, opened DESC, id DESC
        """,
        (now,),
    )
    return [Alert._make((*row[:6], json.loads(row[6]), *row[7:])) for row in rows]


def read_marks(connection: sqlite3.Connection) -> list[Mark]:
    """What happened to the model, retrainings among it, in order."""
    marks = [
        Mark(*row) for row in connection.execute("SELECT time, kind, version, text FROM marks")
    ]
    told = {int(mark.time) for mark in marks if mark.kind == "retraining"}
    for claimed, reason, how, labelled, run, ended in connection.execute(
        "SELECT claimed, reason, how, labelled, run, ended FROM retrainings"
    ):
        if int(claimed) not in told:
            state = ended or (f"run {run}" if run else "not started yet")
            text = f"{reason} ({how.replace('_', ' ')}, {labelled:,} new labels): {state}"
            marks.append(Mark(claimed, "retraining", "", text))
    return sorted(marks)
