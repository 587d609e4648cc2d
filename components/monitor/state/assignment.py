"""Which window each answer is in, and whether it counts there.

A photograph counts once in a window, however often it is asked of: what is tested takes for granted
that photographs come one after the other (docs/decisions/drift-statistics.md). In windows of N
photographs it counts once in the model's life.
"""

import sqlite3
from typing import Literal

Size = Literal["hour", "day", "week"] | int
_SECONDS = {"hour": 3600, "day": 86400, "week": 7 * 86400}
_OFFSETS = {"week": 3 * 86400}
"""Seconds from when a window would begin to 1970, a Thursday."""


def seconds(size: Size) -> int | None:
    """How long a window is; None of one of N photographs."""
    return _SECONDS[size] if isinstance(size, str) else None


def assign(connection: sqlite3.Connection, size: Size, after: int = 0) -> None:
    """Gives answers their windows.

    Args:
        connection: The database.
        size: Of windows.
        after: Answers from the next identity on.
    """
    if isinstance(size, str):
        _assign_times(connection, _SECONDS[size], _OFFSETS.get(size, 0), after)
    else:
        _assign_numbers(connection, size, after)


def _assign_times(connection: sqlite3.Connection, size: int, offset: int, after: int) -> None:
    # A cast cuts towards 0, and no time is below.
    connection.execute(
        "UPDATE answers SET window = CAST(time + :offset AS INTEGER) / :size * :size - :offset "
        "WHERE id > :after",
        {"size": size, "offset": offset, "after": after},
    )
    # A plus keeps SQLite from looking through the whole window.
    connection.execute(
        """
        UPDATE answers SET counted = NOT EXISTS (
            SELECT 1 FROM answers AS other
            WHERE other.image_id = answers.image_id AND other.version = answers.version
            AND +other.window = answers.window AND other.id < answers.id
        ) WHERE id > ?
        """,
        (after,),
    )


def _assign_numbers(connection: sqlite3.Connection, size: int, after: int) -> None:
    connection.execute(
        """
        UPDATE answers SET counted = NOT EXISTS (
            SELECT 1 FROM answers AS other
            WHERE other.image_id = answers.image_id AND other.version = answers.version
            AND other.id < answers.id
        ) WHERE id > ?
        """,
        (after,),
    )
    connection.execute(
        """
        UPDATE answers SET window = max(numbered.number - 1, 0) / :size
        FROM (
            SELECT id, sum(counted) OVER (PARTITION BY version ORDER BY id) AS number FROM answers
        ) AS numbered
        WHERE numbered.id = answers.id AND answers.id > :after
        """,
        {"size": size, "after": after},
    )
