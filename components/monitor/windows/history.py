"""What the windows of a version say, one after the other."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from components.monitor.drift.differences import corrected
from components.monitor.state.assignment import seconds

OVER = 7
"""Windows of a moving average."""


class Window(NamedTuple):
    """A window that was written.

    Attributes:
        window: Of time: when it begins, in seconds since 1970; of N photographs: which one, from 0.
        figures: As `window_figures` gives them, each p-value with `corrected`, what it is worth
            beside all others of the version's life.
        alarms: The tests that alarm, those with the most evidence first.
        empty_before: Windows of time without an answer between the one before and this one.
    """

    window: int
    figures: dict[str, Any]
    alarms: tuple[str, ...]
    empty_before: int

    def in_words(self) -> str:
        """The window in one line."""
        of = self.figures
        parts = [
            f"{of['first'][:16]} to {of['last'][:16]}",
            f"{of['photographs']} photographs",
            f"{of['labelled']} labelled",
        ]
        if of["labelled"]:
            parts.append(f"accuracy {of['right'] / of['labelled']:.3f}")
        if self.empty_before:
            parts.append(f"after {self.empty_before} windows without an answer")
        return ", ".join(parts) + (f"; changed: {', '.join(self.alarms)}" if self.alarms else "")


class Point(NamedTuple):
    """A metric of a slice in a window.

    Attributes:
        window: The window.
        value: The metric; None is not a number.
        low: The lower end of its interval of 95 %; None where it has none.
        high: The upper end.
        photographs: Those that have labels.
        average: Its mean over this window and those before it, up to seven that have the metric,
            each by its photographs: of a share that of all these photographs together.
    """

    window: int
    value: float | None
    low: float | None
    high: float | None
    photographs: int
    average: float | None


def versions(connection: sqlite3.Connection) -> list[str]:
    """The versions that have answered, the latest to answer first."""
    rows = connection.execute(
        "SELECT version FROM answers GROUP BY version ORDER BY max(time) DESC"
    )
    return [version for (version,) in rows]


def windows(connection: sqlite3.Connection, version: str) -> Iterator[Window]:
    """The windows of a version, in order."""
    alarms: dict[int, list[str]] = {}
    for window, test in connection.execute(
        "SELECT window, test FROM tests WHERE version = ? AND alarm ORDER BY log_e_value DESC",
        (version,),
    ):
        alarms.setdefault(window, []).append(test)
    (size,) = connection.execute("SELECT value FROM settings WHERE name = 'window'").fetchone()
    step = seconds(json.loads(size)) or 1
    rows = connection.execute(
        "SELECT window, lag(window, 1, NULL) OVER (ORDER BY window), figures FROM windows "
        "WHERE version = ? ORDER BY window",
        (version,),
    )
    for number, (window, before, figures) in enumerate(rows, 1):
        empty = 0 if before is None else (window - before) // step - 1
        read = json.loads(figures)
        _correct(read, number)
        yield Window(window, read, tuple(alarms.get(window, ())), empty)


def _correct(figures: dict[str, Any], number: int) -> None:
    """Adds `corrected` beside the p-values of a window, which is the one of this number."""
    of_tests = [*figures["drift"].values(), figures.get("embedding") or {}]
    tested = [each for each in of_tests if "p_value" in each]
    for each in tested:
        each["corrected"] = corrected(each["p_value"], number, len(tested))


def series(
    connection: sqlite3.Connection, version: str, metric: str, slice_name: str = "{}"
) -> list[Point]:
    """A metric of a slice, window by window, with its moving average.

    Args:
        connection: The database.
        version: The model's version.
        metric: The metric's name.
        slice_name: That of the slice, as `slice_name` gives it; all photographs if left out.
    """
    rows = connection.execute(
        f"""
        SELECT window, value, low, high, count,
            sum(value * count) OVER recent / sum(iif(value IS NULL, 0, count)) OVER recent
        FROM metrics WHERE version = ? AND metric = ? AND slice = ?
        WINDOW recent AS (ORDER BY window ROWS {OVER - 1} PRECEDING)
        ORDER BY window
        """,
        (version, metric, slice_name),
    )
    return [Point(*row) for row in rows]
