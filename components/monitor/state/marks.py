"""What happened to the model, from the push log: drawn beside what the windows say."""

import datetime
import sqlite3

from components.monitor.state.database import transaction
from darkroom.artifacts.model_repository import repository_of
from darkroom.artifacts.push_log import Entry, PushLog

_KINDS = {
    "push": "pushed",
    "canary": "canary",
    "promote": "promoted",
    "rollback": "rolled_back",
}
"""By the log's action, the kind of the mark; other actions change no model that answers."""


def update_marks(connection: sqlite3.Connection, versions: str) -> int:
    """Writes the marks of the versions; those that are there stay.

    Args:
        connection: The database.
        versions: Where they were pushed to.

    Returns:
        How many are new.

    Raises:
        SettingsError: They are in no folder or bucket.
        StepError: The log cannot be read, or was changed.
    """
    marks = [
        (_seconds(entry), _KINDS[entry.action], str(entry.version), _text(entry))
        for entry in PushLog(repository_of(versions)).entries
        if entry.action in _KINDS
    ]
    with transaction(connection):
        before = connection.total_changes
        connection.executemany("INSERT OR IGNORE INTO marks VALUES (?, ?, ?, ?)", marks)
        return connection.total_changes - before


def _seconds(entry: Entry) -> float:
    return datetime.datetime.fromisoformat(entry.time).timestamp()


def _text(entry: Entry) -> str:
    """What the log says of it beside its version, in words."""
    if entry.action == "canary":
        said = f"gets {entry.traffic} % of the requests"
    elif entry.action == "rollback":
        said = f"version {entry.serving} serves again"
    else:
        said = ""
    return "; ".join(filter(None, (said, entry.reason)))
