"""False alerts over a version's life, and windows until an alert, through the monitor's database.

The lives are those of `benchmarks.drift`, counted as the monitor counts answers: each day the rows
of `windows`, `shares` and `metrics` are written, `look` tests and `update_alerts` opens and closes,
as at the end of `watch`; only photographs and labels are not read from files. A label comes up to
three days late, and the days that it is of are counted and tested again, as `watch` would.
"""

import contextlib
import datetime
import json
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from benchmarks.detectors import Photographs
from benchmarks.drift import CHANGED_AT, CHANGED_LIVES, CHANGES, LABELS, LIVES, World, life
from components.monitor.alerts.alert import read_alerts
from components.monitor.alerts.settings import AlertSettings
from components.monitor.alerts.update import update_alerts
from components.monitor.drift.shares import histogram
from components.monitor.sequential.changed_share import Counted
from components.monitor.state.answers import forget_windows
from components.monitor.state.database import opened, transaction
from components.monitor.state.made_by import settle
from components.monitor.windows.alarms import accuracy_test, look
from components.monitor.windows.figures import window_shares
from components.monitor.windows.reference import Reference, slice_name
from darkroom.intervals import wilson

DAY = 86400
START = 1_700_006_400
"""A midnight."""
LATEST = 3
"""Days that a label comes late at most."""
RATE = 0.01
NAMES = tuple(LABELS)
SETTINGS = AlertSettings.model_validate(
    {"floors": {"accuracy": {"at_least": 0.9, "every_slice_at_least": 0.85}}}
)
"""The accuracy is 0.92; all else is by default."""
ASKED = {
    "a label's share +10 points": ("drift", "label"),
    "brightness -30 %": ("drift", "brightness"),
    "accuracy -5 points": ("fall", "accuracy"),
    "accuracy -5 points, the floor": ("floor", "accuracy"),
}
"""The alert that is waited for."""


class Day(NamedTuple):
    """The photographs of a day.

    Attributes:
        seen: What they are, and whether their answers are right.
        known: The day, from that of the answer, from which on each label is known, int64 [N].
    """

    seen: Photographs
    known: npt.NDArray[np.int64]

    def right(self, today: int) -> dict[str, Counted]:
        """By slice, how many of those with a label by now are answered rightly."""
        assert self.seen.right is not None
        labelled = self.known <= today
        found = {}
        for place, name in enumerate(("{}", *map(_slice, NAMES))):
            of_slice = labelled & ((self.seen.given == place - 1) | (place == 0))
            if count := int(of_slice.sum()):
                found[name] = Counted(int((self.seen.right & of_slice).sum()), count)
        return found


def _slice(label: str) -> str:
    return slice_name({"label": label})


def _counts(seen: Photographs) -> dict[str, Any]:
    histograms = {name: histogram(name, values).tolist() for name, values in seen.measures.items()}
    labels = dict(zip(NAMES, seen.counts(), strict=True))
    return {"labels": labels, "formats": {}, "histograms": histograms}


def reference_of(seen: Photographs) -> Reference:
    """The reference that photographs are, all with labels."""
    counts = _counts(seen)
    right = Day(seen, np.zeros(len(seen.given), np.int64)).right(0)
    return Reference(
        labels=NAMES,
        given=counts["labels"],
        formats={},
        histograms=counts["histograms"],
        right=right,
    )


@contextlib.contextmanager
def lived(
    reference: Photographs, windows: Sequence[Photographs], seed: int, latest: int = LATEST
) -> Iterator[sqlite3.Connection]:
    """The database after a life.

    Args:
        reference: What the windows are held against.
        windows: Of a day each.
        seed: Of how late labels come.
        latest: Days that a label comes late at most.
    """
    generator = np.random.default_rng(seed)
    known = reference_of(reference)
    days = [
        Day(seen, day + generator.integers(0, latest + 1, len(seen.given)))
        for day, seen in enumerate(windows)
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder) / "monitor.db") as connection,
    ):
        connection.execute("PRAGMA synchronous = OFF")
        settle(connection, "day", ["label"], RATE, {})
        for today in range(len(days)):
            _live(connection, days, today, known, latest)
            look(connection, "1", known, RATE)
            update_alerts(connection, SETTINGS, START + (today + 1) * DAY)
        yield connection


def alerts_of(
    reference: Photographs, windows: Sequence[Photographs], seed: int
) -> list[tuple[str, str, int]]:
    """The alerts of a life: kind, subject, and the day that each was opened on, from 0."""
    with lived(reference, windows, seed) as connection:
        return [
            (alert.kind, alert.subject, round((alert.opened - START) / DAY) - 1)
            for alert in read_alerts(connection)
        ]


def _live(
    connection: sqlite3.Connection, days: Sequence[Day], today: int, known: Reference, latest: int
) -> None:
    """Writes a day, and those before it that labels come for, again."""
    first = max(0, today - latest)
    with transaction(connection):
        connection.execute(
            "INSERT INTO answers (version, image_id, time, label, label_index, probabilities, "
            "confidence, entropy, columns, window, counted) "
            "VALUES ('1', ?, ?, 'daisy', 0, x'', 1, 0, '{}', ?, 1)",
            (f"{today:064}", START + today * DAY + 0.5, START + today * DAY),
        )
        forget_windows(
            connection,
            "SELECT '1' AS version, value AS window FROM json_each(?)",
            json.dumps([START + day * DAY for day in range(first, today)]),
        )
        for day in range(first, today + 1):
            _write_day(connection, day, days[day], today, known)


def _write_day(
    connection: sqlite3.Connection, day: int, of_day: Day, today: int, known: Reference
) -> None:
    counts = _counts(of_day.seen)
    window = START + day * DAY
    first = datetime.datetime.fromtimestamp(window, datetime.UTC).isoformat(timespec="milliseconds")
    figures = {**counts, "first": first}
    connection.execute(
        "INSERT INTO windows (version, window, figures) VALUES ('1', ?, ?)",
        (window, json.dumps(figures)),
    )
    right = of_day.right(today)
    connection.executemany(
        "INSERT INTO metrics VALUES ('1', ?, ?, 'accuracy', ?, ?, ?, ?)",
        [
            (window, name, hits / total, *wilson(hits, total), total)
            for name, (hits, total) in right.items()
        ],
    )
    shares = {accuracy_test(name): counted for name, counted in right.items()}
    for tests in window_shares(counts, known).values():
        shares |= tests
    connection.executemany(
        "INSERT INTO shares VALUES ('1', ?, ?, ?, ?)",
        [(window, test, *counted) for test, counted in shares.items()],
    )


def measure() -> str:
    """The table: lives without a change, and with each of the changes."""
    with threadpool_limits(1):
        return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| windows | alert | lives with a false one | found | windows until it: median, longest |"
    yield "|---|---|---|---|---|"
    lives = [alerts_of(*life(World(), seed), seed) for seed in range(LIVES)]
    for kind in ("any", "drift", "fall", "floor"):
        false = [any(kind in ("any", alert[0]) for alert in alerts) for alerts in lives]
        yield f"| none | {kind} | {sum(false)} of {LIVES} | | |"
    found: dict[str, list[list[tuple[str, str, int]]]] = {}
    for change, (kind, subject) in ASKED.items():
        world = change.partition(",")[0]
        if world not in found:
            seeds = range(CHANGED_LIVES)
            found[world] = [alerts_of(*life(CHANGES[world], seed), seed) for seed in seeds]
        yield f"| {change} | {kind} | {_waits(found[world], kind, subject)} |"


def _waits(lives: Sequence[Sequence[tuple[str, str, int]]], kind: str, subject: str) -> str:
    false = [any(day < CHANGED_AT for *_, day in alerts) for alerts in lives]
    waits = sorted(
        day - CHANGED_AT + 1
        for alerts, early in zip(lives, false, strict=True)
        for day in [min((day for *of, day in alerts if of == [kind, subject]), default=None)]
        if day is not None and not early
    )
    told = len(lives) - sum(false)
    middle = f"{waits[len(waits) // 2]}, {waits[-1]}" if waits else "-"
    return f"{sum(false)} of {len(lives)} | {len(waits)} of {told} | {middle}"
