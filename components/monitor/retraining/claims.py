"""Retrainings as the database has them: claimed, started, ended. One is under way at a time."""

import dataclasses
import datetime
import sqlite3
from typing import Any, get_args

from components.monitor.retraining.settings import How
from components.monitor.state.database import transaction

_COLUMNS = "number, claimed, reason, how, labelled, run, ended"


@dataclasses.dataclass(frozen=True)
class Retraining:
    """A retraining.

    Attributes:
        number: Its number, from 1.
        claimed: When it was decided, in seconds since 1970.
        reason: Why, in words.
        how: `fine_tune`, `from_scratch` or `noisy_student`.
        labelled: The new labelled photographs that it has.
        run: The id of its run; None: it has not started.
        ended: `blessed`, `not blessed`, `failed` or `unknown`; None: it has not ended.
    """

    number: int
    claimed: float
    reason: str
    how: str
    labelled: int
    run: str | None = None
    ended: str | None = None

    @property
    def key(self) -> str:
        """What its run is known by, so that it is not started twice.

        >>> Retraining(3, 0.0, "accuracy", "fine_tune", 500).key
        'retraining-0003-19700101t000000'
        """
        time = datetime.datetime.fromtimestamp(self.claimed, datetime.UTC)
        return f"retraining-{self.number:04d}-{time:%Y%m%dt%H%M%S}"


def parsed_retraining(document: Any) -> Retraining:
    """A retraining that has not started, from what JSON makes of one.

    Raises:
        ValueError: It is none.
    """
    try:
        known = {name: document[name] for name in ("number", "claimed", "labelled")}
        reason, how = document["reason"], document["how"]
    except (LookupError, TypeError):
        raise ValueError("expected retraining: {number, claimed, reason, how, labelled}") from None
    if not all(type(value) in (int, float) and 0 <= value < 1e11 for value in known.values()):
        raise ValueError("retraining: number, claimed and labelled are numbers of 0 and more")
    if not isinstance(reason, str) or how not in get_args(How):
        raise ValueError(f"retraining: reason is a text, and how is {' or '.join(get_args(How))}")
    number, labelled = int(known["number"]), int(known["labelled"])
    return Retraining(number, float(known["claimed"]), reason, how, labelled)


def last_retraining(connection: sqlite3.Connection) -> Retraining | None:
    """The retraining that was claimed last; None if there was none."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM retrainings ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return None if found is None else Retraining(*found)


def open_retraining(connection: sqlite3.Connection) -> Retraining | None:
    """The retraining that has not ended; None if there is none."""
    last = last_retraining(connection)
    return last if last is not None and last.ended is None else None


def claim(
    connection: sqlite3.Connection, now: float, reason: str, how: str, version: str
) -> Retraining:
    """Claims a retraining, in a transaction of its own.

    Returns:
        The retraining; that of another process, where one was faster.
    """
    with transaction(connection):
        if (known := open_retraining(connection)) is not None:
            return known
        last = last_retraining(connection)
        claimed = Retraining(1 if last is None else last.number + 1, now, reason, how, 0)
        connection.execute(
            f"INSERT INTO retrainings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            dataclasses.astuple(claimed),
        )
        connection.execute(
            "REPLACE INTO marks (time, kind, version, text) VALUES (?, 'retraining', ?, ?)",
            (now, version, reason),
        )
    return claimed


def note_dataset(connection: sqlite3.Connection, number: int, labelled: int, how: str) -> None:
    """Notes how many photographs a retraining has, and how it is to be trained."""
    with transaction(connection):
        connection.execute(
            "UPDATE retrainings SET labelled = ?, how = ? WHERE number = ? AND run IS NULL",
            (labelled, how, number),
        )


def note_run(connection: sqlite3.Connection, number: int, run: str) -> None:
    """Notes the run of a retraining."""
    with transaction(connection):
        connection.execute("UPDATE retrainings SET run = ? WHERE number = ?", (run, number))


def note_end(connection: sqlite3.Connection, number: int, ended: str) -> None:
    """Notes how a retraining ended, beside its mark too."""
    with transaction(connection):
        connection.execute(
            "UPDATE retrainings SET ended = ? WHERE number = ? AND ended IS NULL", (ended, number)
        )
        connection.execute(
            "UPDATE marks SET text = (SELECT reason || ': ' || ended FROM retrainings "
            "WHERE number = :number) WHERE kind = 'retraining' "
            "AND time = (SELECT claimed FROM retrainings WHERE number = :number)",
            {"number": number},
        )
