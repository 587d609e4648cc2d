"""The figures of a watched model, as they are in the database at one moment."""

import dataclasses
import json
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from components.monitor.page.database import read_only
from components.monitor.page.events import Alert, Mark, read_alerts, read_marks
from components.monitor.page.mistakes import Mistake, read_mistakes
from components.monitor.windows.history import OVER, Point, Window, series, windows
from darkroom.anytime import Interval
from darkroom.intervals import wilson

MOST_VERSIONS = 6
"""Versions that are shown: those that answered last."""
MOST_SLICES = 100
"""Slices of a version: the worst of them."""
ALL = "{}"
"""The name of the slice of all photographs."""


class Change(NamedTuple):
    """What is known of a share that is tested, after the version's newest window.

    Attributes:
        test: The name of the test, such as `label=roses`.
        log_e_value: The natural logarithm of the evidence that it has changed.
        alarm: Whether that is enough.
        since: The window that it has likely changed in.
        before: The share until then; None if there was none.
        after: The share since.
    """

    test: str
    log_e_value: float
    alarm: bool
    since: int
    before: float | None
    after: float | None

    @property
    def of(self) -> str:
        """What is compared, as the drift figures name it."""
        return compared(self.test)


@dataclasses.dataclass(frozen=True)
class VersionFigures:
    """What is known of a version.

    Attributes:
        version: Its name.
        windows: In order.
        metrics: Of all photographs, by name.
        slices: The accuracy of each slice by its name, that which is surely worst first.
        changes: The tests, those that alarm and those with the most evidence first.
    """

    version: str
    windows: list[Window]
    metrics: dict[str, list[Point]]
    slices: dict[str, list[Point]]
    changes: list[Change]

    @property
    def last(self) -> Window:
        """The newest window."""
        return self.windows[-1]


@dataclasses.dataclass(frozen=True)
class Figures:
    """All that is shown.

    Attributes:
        read: When it was read, in seconds since 1970.
        window: `hour`, `day`, `week`, or a number of photographs; None before the first run.
        versions: Those that have answered, the latest to answer first.
        older_versions: How many more there are.
        alerts: Those that hold first.
        marks: What happened, in order.
        mistakes: The surest wrong answers of the latest windows.
        last_label: When a label became known last, in seconds since 1970.
    """

    read: float = dataclasses.field(compare=False)
    window: str | int | None
    versions: list[VersionFigures]
    older_versions: int
    alerts: list[Alert]
    marks: list[Mark]
    mistakes: list[Mistake]
    last_label: float | None


def compared(test: str) -> str:
    """What a test compares.

    >>> compared("label=roses"), compared("brightness<96"), compared('accuracy {"label": "a=b"}')
    ('label', 'brightness', 'accuracy')
    >>> compared("file_format=PNG"), compared("embedding")
    ('format', 'embedding')
    """
    name = test
    for end in (" {", "=", "<"):
        name = name.partition(end)[0]
    return "format" if name == "file_format" else name


def compared_figures(window: Window) -> dict[str, dict[str, float]]:
    """How far a window is from what its version was evaluated on, by what is compared."""
    embedding = window.figures.get("embedding")
    found: dict[str, dict[str, float]] = window.figures["drift"]
    return found | {"embedding": embedding} if embedding else found


def read_figures(database: Path, now: float | None = None) -> Figures:
    """Reads what there is to show.

    Args:
        database: The monitor's file.
        now: Seconds since 1970.

    Raises:
        SettingsError: There is no such database, or it is of another release.
        StepError: It is being written, or cannot be read.
    """
    moment = time.time() if now is None else now
    with read_only(database) as connection:
        size = connection.execute("SELECT value FROM settings WHERE name = 'window'").fetchone()
        names = _versions(connection)
        versions = [_version(connection, name) for name in names[:MOST_VERSIONS]]
        (last_label,) = connection.execute("SELECT max(known) FROM truths").fetchone()
        return Figures(
            moment,
            None if size is None else json.loads(size[0]),
            versions,
            max(0, len(names) - MOST_VERSIONS),
            read_alerts(connection, moment),
            read_marks(connection),
            read_mistakes(connection, {of.version: of.windows for of in versions}),
            last_label,
        )


def pooled(points: list[Point]) -> Interval | None:
    """Where a share lies with 95 % confidence by its latest windows, as many as are averaged over.

    Args:
        points: A metric that is a share.

    Returns:
        None where it has no photograph.
    """
    recent = [point for point in points[-OVER:] if point.value is not None]
    count = sum(point.photographs for point in recent)
    if not count:
        return None
    return wilson(round(sum((point.value or 0) * point.photographs for point in recent)), count)


def _versions(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(
        "SELECT version FROM windows GROUP BY version "
        "ORDER BY max(json_extract(figures, '$.last')) DESC, version DESC"
    )
    return [version for (version,) in rows]


def _version(connection: sqlite3.Connection, version: str) -> VersionFigures:
    found = list(windows(connection, version))
    metrics, slices = [], []
    for slice_name, metric in connection.execute(
        "SELECT DISTINCT slice, metric FROM metrics WHERE version = ?", (version,)
    ):
        if slice_name == ALL:
            metrics.append(metric)
        elif metric == "accuracy":
            slices.append(slice_name)
    of_slices = {name: series(connection, version, "accuracy", name) for name in slices}
    worst = sorted(of_slices, key=lambda name: _surely(of_slices[name]))[:MOST_SLICES]
    changes = connection.execute(
        "SELECT test, log_e_value, alarm, since, before, after FROM tests "
        "WHERE version = ? AND window = ? ORDER BY alarm DESC, log_e_value DESC",
        (version, found[-1].window),
    )
    return VersionFigures(
        version,
        found,
        {name: series(connection, version, name) for name in metrics},
        {name: of_slices[name] for name in worst},
        [Change(test, log, bool(alarm), *more) for test, log, alarm, *more in changes],
    )


def _surely(points: list[Point]) -> float:
    """How good a slice is at most: a slice of few photographs is not called the worst."""
    interval = pooled(points)
    return 1.0 if interval is None else interval.high
