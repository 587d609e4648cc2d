"""A database as `watch` leaves it, written by hand: windows, and one test of a share in each."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.monitor.alerts.settings import AlertSettings
from components.monitor.state.database import opened, transaction

DAY = 86400
BEFORE, AFTER = 0.2, 0.4


def alert_settings(**values: object) -> AlertSettings:
    return AlertSettings.model_validate(values)


@contextlib.contextmanager
def database(folder: Path, size: object = "day") -> Iterator[sqlite3.Connection]:
    with opened(folder / "monitor.db") as connection:
        if not connection.execute("SELECT 1 FROM settings").fetchone():
            rows = [("window", json.dumps(size)), ("rate", "0.01"), ("slices", '["label"]')]
            connection.executemany("INSERT INTO settings VALUES (?, ?)", rows)
        yield connection


def text(seconds: float) -> str:
    return f"1970-01-{int(seconds // DAY) + 1:02}T00:00:00.000+00:00"


def add_answers(
    connection: sqlite3.Connection, times: Sequence[float], version: str = "1", label: str = "roses"
) -> None:
    connection.executemany(
        "INSERT INTO answers (version, image_id, time, label, label_index, probabilities, "
        "confidence, entropy, columns, window, counted) VALUES (?, ?, ?, ?, 0, x'', 0.5, 0, '{}', "
        "CAST(? AS INTEGER) / 86400 * 86400, 1)",
        [(version, f"{version} {time}", time, label, time) for time in times],
    )


def add_labels(connection: sqlite3.Connection, times: Sequence[float]) -> None:
    connection.executemany(
        "INSERT INTO truths VALUES ('image_id', ?, 'roses', 0, ?, '{}')",
        [(f"label {time}", time) for time in times],
    )


def add_window(
    connection: sqlite3.Connection,
    day: int,
    share: float | None,
    *,
    alarm: bool = True,
    since: int = 0,
    test: str = "label=roses",
    version: str = "1",
    levels: tuple[float | None, float | None] = (BEFORE, AFTER),
) -> None:
    """A day whose share is so; None: there was nothing to see of it."""
    with transaction(connection):
        add_answers(connection, [day * DAY + 60.0], version)
        figures = json.dumps({"first": text(day * DAY)})
        connection.execute("INSERT INTO windows VALUES (?, ?, ?, 1)", (version, day * DAY, figures))
        connection.execute(
            "INSERT INTO tests VALUES (?, ?, ?, 9, ?, ?, ?, ?)",
            (version, day * DAY, test, alarm, since * DAY, *levels),
        )
        hits, total = (0, 0) if share is None else (round(100 * share), 100)
        connection.execute(
            "INSERT INTO shares VALUES (?, ?, ?, ?, ?)", (version, day * DAY, test, hits, total)
        )


def add_metric(
    connection: sqlite3.Connection, day: int, value: float, count: int, name: str = "{}"
) -> None:
    connection.execute(
        "INSERT INTO metrics VALUES ('1', ?, ?, 'accuracy', ?, 0, 1, ?)",
        (day * DAY, name, value, count),
    )
