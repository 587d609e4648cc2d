"""Notes what windows are made by, and forgets those that were made by something else."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from components.monitor.state.assignment import Size, assign
from components.monitor.state.database import transaction

_REFERENCE = "reference of version "


def settle(
    connection: sqlite3.Connection,
    size: Size,
    slices: Any,
    rate: float,
    references: Mapping[str, str],
) -> None:
    """Makes way for windows of these settings; nothing that was read is lost.

    Another size of windows, or other slices, begin all windows again; another reference those of
    its version; another rate their tests. Of another size or reference other photographs are
    compared: files of samples are then read again, for their embeddings.

    Args:
        connection: The database.
        size: Of windows.
        slices: What is sliced by; JSON values.
        rate: Of false alarms.
        references: The digest of each version's; a version that is left out keeps what it has.
    """
    wanted = {"window": json.dumps(size), "slices": json.dumps(slices), "rate": json.dumps(rate)}
    wanted |= {_REFERENCE + version: given for version, given in references.items()}
    had = dict(connection.execute("SELECT name, value FROM settings").fetchall())
    changed = {name for name, value in wanted.items() if had.get(name) != value}
    if not changed:
        return
    with transaction(connection):
        if "window" in changed:
            assign(connection, size)
            connection.execute("DELETE FROM embedded_windows")
        if changed & {"window", "slices"}:
            connection.execute("DELETE FROM windows")
        for version in references:
            if _REFERENCE + version in changed:
                connection.execute("DELETE FROM windows WHERE version = ?", (version,))
        if changed - {"slices", "rate"}:
            connection.execute("DELETE FROM files")
        if "rate" in changed:
            connection.execute("DELETE FROM tests")
            connection.execute("UPDATE windows SET tested = 0")
        connection.executemany("REPLACE INTO settings VALUES (?, ?)", wanted.items())


def note_missing_reference(connection: sqlite3.Connection, version: str) -> None:
    """Notes that a window was made without its reference: once that is back, all are made again.

    Args:
        connection: The database, in a transaction.
        version: The model's version.
    """
    connection.execute("DELETE FROM settings WHERE name = ?", (_REFERENCE + version,))
