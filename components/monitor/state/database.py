"""Opens the monitor's database, and says in one line why it cannot be used.

SQLite, of Python itself: one file, appended in transactions that a killed process leaves undone,
and read by others meanwhile, such as a dashboard. DuckDB groups faster, but lets no other process
look into its file while one writes. No write-ahead log: it would be a second file, and does not
work on the network file systems of clusters.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from components.monitor.state.schema import MIGRATIONS, VERSION
from darkroom.errors import SettingsError, StepError

_WAIT = 10.0
"""Seconds to wait for another process that writes."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens the database, and makes it or brings it up to date where that is needed.

    Raises:
        SettingsError: It is no such database, or of a newer release.
        StepError: Another process writes it, the disk is full, or it cannot be read or written.
    """
    with _one_line(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, path)
            yield connection
        finally:
            connection.close()


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, temporary: bool = False) -> Iterator[None]:
    """All that is written within is written, or nothing.

    Args:
        connection: The database.
        temporary: Whether temporary tables alone are written, which keeps nobody else waiting.
    """
    connection.execute("BEGIN" if temporary else "BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # On a full disk SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == VERSION:
        return
    with transaction(connection):
        version = _version(connection)  # another process may have been faster
        if version > VERSION:
            raise SettingsError(
                f"{path} was written by a newer Darkroom (its tables are version {version}, this "
                f"release has {VERSION}): use that release, or another file"
            )
        tables = connection.execute("SELECT name FROM sqlite_schema LIMIT 1").fetchone()
        if version == 0 and tables:
            raise SettingsError(f"{path} is a database of something else: name another file")
        for script in MIGRATIONS[version:]:
            # executescript would commit.
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextlib.contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(error, path) from error
    except OSError as error:
        raise StepError(f"cannot write {path}: {error.strerror or error}") from error


def _explained(error: sqlite3.Error, path: Path) -> SettingsError | StepError:
    code = getattr(error, "sqlite_errorcode", None)
    base = None if code is None else code & 0xFF
    if base in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StepError(f"another process is writing {path}: wait until it has ended")
    if base == sqlite3.SQLITE_FULL:
        return StepError(f"no room is left to write {path}: what was there before is kept")
    if base == sqlite3.SQLITE_NOTADB:
        return SettingsError(f"{path} is no database of SQLite: name another file")
    if base == sqlite3.SQLITE_CORRUPT:
        return StepError(f"{path} is damaged: restore it, or name another file")
    return StepError(f"cannot use the database {path}: {error}")
