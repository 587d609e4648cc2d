"""Adds answers to the database, each once however often it is read."""

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from components.monitor.reading.answer import MEASURES, Answer, database_rows
from components.monitor.state.assignment import Size, assign
from components.monitor.state.database import transaction

_COLUMNS = ", ".join(
    (
        *("version", "image_id", "key", "time", "label", "label_index", "probabilities"),
        *("confidence", "entropy", "columns", "file_format", *MEASURES),
    )
)


class Added(NamedTuple):
    """What came of reading answers.

    Attributes:
        new: Answers that were not there.
        known: Answers that were there, or came twice.
    """

    new: int
    known: int


def add_answers(connection: sqlite3.Connection, answers: Iterable[Answer], size: Size) -> Added:
    """Adds answers, in the order of their times; an answer is one photograph at one time.

    They wait in a temporary file, so that memory does not grow with them, and nothing is locked
    while they are read. The temporary table `pictured` then has the photographs that an embedding
    can be had of.

    Args:
        connection: The database.
        answers: The answers.
        size: Of windows.
    """
    connection.execute("DROP TABLE IF EXISTS temp.incoming")
    connection.execute("DROP TABLE IF EXISTS temp.pictured")
    connection.execute(f"CREATE TEMP TABLE incoming ({_COLUMNS}, pictured)")
    marks = ", ".join("?" * (_COLUMNS.count(",") + 2))
    with transaction(connection, temporary=True):
        connection.executemany(f"INSERT INTO incoming VALUES ({marks})", database_rows(answers))
    (read,) = connection.execute("SELECT count(*) FROM incoming").fetchone()
    with transaction(connection):
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM answers").fetchone()
        # Of an answer that is known, another column may be sliced by now.
        connection.execute(
            f"INSERT INTO answers ({_COLUMNS}) "
            f"SELECT {_COLUMNS} FROM incoming WHERE true ORDER BY time, rowid "
            "ON CONFLICT DO UPDATE SET columns = excluded.columns "
            "WHERE columns != excluded.columns"
        )
        (new,) = connection.execute("SELECT count(*) FROM answers WHERE id > ?", (last,)).fetchone()
        if new:
            assign(connection, size, after=last)
            forget_windows(
                connection, "SELECT DISTINCT version, window FROM answers WHERE id > ?", last
            )
    connection.execute(
        "CREATE TEMP TABLE pictured AS SELECT DISTINCT version, image_id FROM incoming "
        "WHERE pictured"
    )
    connection.execute("DROP TABLE incoming")
    return Added(new, read - new)


def forget_windows(connection: sqlite3.Connection, chosen: str, *parameters: object) -> None:
    """Removes the rows of windows, to be computed again, and the tests of those that follow them.

    Args:
        connection: The database, in a transaction.
        chosen: A query that gives `version` and `window`.
        parameters: Of the query.
    """
    connection.execute("DROP TABLE IF EXISTS temp.stale")
    connection.execute(f"CREATE TEMP TABLE stale AS {chosen}", parameters)
    connection.execute(
        "DELETE FROM windows WHERE (version, window) IN (SELECT version, window FROM stale)"
    )
    for version, first in connection.execute(
        "SELECT version, min(window) FROM stale GROUP BY version"
    ).fetchall():
        later = (version, first)
        connection.execute("DELETE FROM tests WHERE version = ? AND window > ?", later)
        connection.execute("UPDATE windows SET tested = 0 WHERE version = ? AND window > ?", later)
    connection.execute("DROP TABLE stale")
