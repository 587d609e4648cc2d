"""The monitor's database, read beside the process that writes it."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from components.monitor.state.schema import VERSION
from darkroom.errors import SettingsError, StepError

_WAIT = 3.0
"""Seconds to wait for a transaction of the writer's to end."""


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens the database; all that is read within is of one moment, and nothing is changed.

    The writer cannot commit meanwhile: read, and draw afterwards.

    Raises:
        SettingsError: There is none, or it is of another release.
        StepError: It is being written, or cannot be read.
    """
    if not path.is_file():
        raise SettingsError(f"no {path}: run the monitor once, which makes it")
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", timeout=_WAIT, isolation_level=None, uri=True
        )
        try:
            connection.execute("BEGIN")
            _check_version(connection, path)
            yield connection
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise _explained(error, path) from error


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise SettingsError(
            f"{path} was written by a newer Darkroom (its tables are version {version}, this "
            f"release has {VERSION}): use that release"
        )
    if version == 0:
        raise SettingsError(f"{path} is no database of the monitor's: name another file")
    if version < VERSION:
        raise SettingsError(
            f"{path} is of an older Darkroom: run the monitor once, which brings it up to date"
        )


def _explained(error: sqlite3.DatabaseError, path: Path) -> SettingsError | StepError:
    code = getattr(error, "sqlite_errorcode", None)
    base = None if code is None else code & 0xFF
    if base == sqlite3.SQLITE_NOTADB:
        return SettingsError(f"{path} is no database of SQLite: name another file")
    if base == sqlite3.SQLITE_CORRUPT:
        return StepError(f"{path} is damaged: restore it, or name another file")
    if base in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StepError(f"{path} is being written: ask again in a moment")
    if code == sqlite3.SQLITE_READONLY_ROLLBACK:
        return StepError(f"{path} was left by a monitor that was killed: its next run mends it")
    return StepError(f"cannot read {path}: {error}")
