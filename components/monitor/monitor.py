"""Watches a model: reads what was answered and labelled, and writes the windows that changed."""

import dataclasses
import functools
import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.monitor.alerts.alert import Alert
from components.monitor.alerts.update import update_alerts
from components.monitor.reading.answer import MEASURES
from components.monitor.reading.sources import BatchSource, SampleSource, Source
from components.monitor.sequential.changed_share import Counted
from components.monitor.settings import MonitorSettings
from components.monitor.state.answers import add_answers
from components.monitor.state.database import opened, transaction
from components.monitor.state.embeddings import (
    add_embeddings,
    drop_embeddings,
    take_wanted,
    want_embeddings,
)
from components.monitor.state.labels import label_problems, update_labels
from components.monitor.state.made_by import note_missing_reference, settle
from components.monitor.windows.alarms import accuracy_test, look
from components.monitor.windows.figures import window_figures, window_shares
from components.monitor.windows.history import versions, windows
from components.monitor.windows.looked import look_at
from components.monitor.windows.metrics import window_metrics
from components.monitor.windows.reference import Reference
from darkroom.errors import DarkroomError
from darkroom.labels import read_labels

_CLOCKS_DIFFER = 3600.0
"""Seconds that a server's clock may be ahead."""
_FUTURE = "answers of a time that has not come yet (counted all the same)"
_log = logging.getLogger("darkroom.monitor")


@dataclasses.dataclass
class Report:
    """What came of a run.

    Attributes:
        new: Answers that were not in the database.
        known: Answers that were.
        relabelled: Photographs whose labels have changed or come.
        windows: Windows that were written, version and window.
        alerts: Alerts that were opened, opened again or closed.
        problems: What was wrong, and how often.
    """

    new: int = 0
    known: int = 0
    relabelled: int = 0
    windows: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    alerts: list[Alert] = dataclasses.field(default_factory=list)
    problems: Counter[str] = dataclasses.field(default_factory=Counter)


def watch(
    settings: MonitorSettings,
    database: Path,
    references: Mapping[str, Reference],
    now: float | None = None,
) -> Report:
    """Reads what is new, and writes every window that has changed.

    It may run as often as one likes: what is read again changes nothing.

    Args:
        settings: What is watched.
        database: The monitor's file; it is made where there is none.
        references: What each version is held against; one without it is counted and measured, and
            not tested.
        now: Seconds since 1970.

    Raises:
        SettingsError: There are no samples, or the file is no database of the monitor's.
        StepError: Something cannot be read, or the database cannot be written.
    """
    now = time.time() if now is None else now
    report = Report()
    with opened(database) as connection:
        digests = {version: reference.digest for version, reference in references.items()}
        settle(connection, settings.window, settings.slices, settings.rate, digests)
        _read(connection, settings, references, now, report)
        usable = _usable(connection, references, report.problems)
        report.windows = list(_write(connection, settings, usable))
        written = set(report.windows)
        for version in versions(connection):
            for window in windows(connection, version):
                if (version, window.window) in written:
                    _log.info("version %s: %s", version, window.in_words())
        report.alerts = update_alerts(connection, settings.alerts, now)
        report.problems.update(label_problems(connection, settings.labels))
        report.problems.update(_of_the_future(connection, now))
        report.problems.update(_without_values(connection, settings))
    for problem, count in sorted(report.problems.items()):
        _log.warning("%s: %d", problem, count)
    return report


def _read(
    connection: sqlite3.Connection,
    settings: MonitorSettings,
    references: Mapping[str, Reference],
    now: float,
    report: Report,
) -> None:
    keep = [name for name in settings.sliced_columns if name not in ("label", *MEASURES)]
    files_read = {digest for (digest,) in connection.execute("SELECT digest FROM files")}
    sources: list[Source] = [BatchSource(Path(folder)) for folder in settings.predictions]
    if settings.samples is not None and settings.model is not None:
        sources.append(SampleSource(settings.samples, settings.model, files_read))
    for source in sources:
        answers = source.answers(keep, report.problems)
        added = add_answers(connection, answers, settings.window)
        report.new += added.new
        report.known += added.known
        _read_embeddings(connection, source, references, report.problems)
    # After what they hold: a run that is killed between reads them again.
    with transaction(connection):
        marks = [(digest,) for digest in files_read]
        connection.executemany("INSERT OR IGNORE INTO files VALUES (?)", marks)
    for table in settings.labels:
        try:
            rows = read_labels(table)
            report.relabelled += update_labels(connection, table, rows, now, keep, report.problems)
        except DarkroomError as error:
            # Labels that have not come yet stop nobody from counting what was answered.
            report.problems[str(error)] += 1


def _read_embeddings(
    connection: sqlite3.Connection,
    source: Source,
    references: Mapping[str, Reference],
    problems: Counter[str],
) -> None:
    """Reads or computes the embeddings that windows lack, of what a source has just given."""
    known = {version: each.embedded for version, each in references.items() if each.embedded}
    if want_embeddings(connection, known):
        take = functools.partial(take_wanted, connection)
        models = {version: embedded.version for version, embedded in known.items()}
        sizes = {version: embedded.size for version, embedded in known.items()}
        found = source.embeddings(take, models, problems)
        add_embeddings(connection, found, sizes, problems)


def _of_the_future(connection: sqlite3.Connection, now: float) -> Counter[str]:
    """Answers of times that have not come yet: their windows would be the newest for long."""
    (count,) = connection.execute(
        "SELECT count(*) FROM answers WHERE time > ?", (now + _CLOCKS_DIFFER,)
    ).fetchone()
    return Counter({_FUTURE: count} if count else {})


def _without_values(connection: sqlite3.Connection, settings: MonitorSettings) -> Counter[str]:
    """Columns to slice by that nothing has: mistyped, or not written yet."""
    problems = Counter[str]()
    (answers,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    for name in settings.sliced_columns if answers else ():
        if name == "label":
            continue
        found = f"SELECT 1 FROM answers WHERE {name} IS NOT NULL LIMIT 1"
        if name not in MEASURES:
            found = (
                "SELECT 1 FROM answers WHERE instr(columns, :key) "
                "UNION ALL SELECT 1 FROM truths WHERE instr(columns, :key) LIMIT 1"
            )
        key = {"key": json.dumps(name, ensure_ascii=False) + ":"}
        if connection.execute(found, key).fetchone() is None:
            problems[f"no answer and no label has the column '{name}' of 'monitor.slices'"] += 1
    return problems


def _usable(
    connection: sqlite3.Connection, references: Mapping[str, Reference], problems: Counter[str]
) -> dict[str, Reference]:
    """The references that are of the model that has answered."""
    usable = {}
    for version, reference in references.items():
        width = _width(connection, version)
        if width in (None, len(reference.labels)):
            usable[version] = reference
        else:
            problem = f"version {version}: its evaluation is of another model, and is not used"
            problems[problem] += 1
    for version in versions(connection):
        if version not in references:
            problem = f"version {version} is gone, or an older release pushed it: not tested"
            problems[problem] += 1
    return usable


def _write(
    connection: sqlite3.Connection,
    settings: MonitorSettings,
    references: Mapping[str, Reference],
) -> Iterator[tuple[str, int]]:
    missing = connection.execute(
        "SELECT DISTINCT version, window FROM answers "
        "EXCEPT SELECT version, window FROM windows ORDER BY version, window"
    ).fetchall()
    labels: dict[str, list[str]] = {}
    for version, window in missing:
        if version not in labels:
            labels[version] = _labels(connection, version, references.get(version))
        _write_window(
            connection, version, window, settings, references.get(version), labels[version]
        )
        yield version, window
    for version, reference in references.items():
        look(connection, version, reference, settings.rate)


def _write_window(
    connection: sqlite3.Connection,
    version: str,
    window: int,
    settings: MonitorSettings,
    reference: Reference | None,
    labels: list[str],
) -> None:
    with transaction(connection):
        look_at(connection, version, window)
        figures = window_figures(connection, version, window, reference)
        connection.execute(
            "INSERT INTO windows (version, window, figures) VALUES (?, ?, ?)",
            (version, window, json.dumps(figures, allow_nan=False)),
        )
        measured = list(window_metrics(connection, labels, settings.slicings, reference))
        connection.executemany(
            "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(version, window, *each) for each in measured],
        )
        drop_embeddings(connection, version, window)
        if reference is None:
            note_missing_reference(connection, version)
            return
        shares = {
            test: counted
            for tests in window_shares(figures, reference).values()
            for test, counted in tests.items()
        }
        for each in measured:
            if each.metric == "accuracy" and each.slice in reference.right:
                assert each.value is not None
                right = round(each.value * each.photographs)
                shares[accuracy_test(each.slice)] = Counted(right, each.photographs)
        connection.executemany(
            "INSERT INTO shares VALUES (?, ?, ?, ?, ?)",
            [(version, window, test, *counted) for test, counted in shares.items()],
        )


def _labels(connection: sqlite3.Connection, version: str, reference: Reference | None) -> list[str]:
    """The labels of a version: those of the reference, or what its answers show of them."""
    if reference is not None:
        return list(reference.labels)
    names = [f"label {place}" for place in range(_width(connection, version) or 0)]
    for place, label in connection.execute(
        "SELECT DISTINCT label_index, label FROM answers WHERE version = ?", (version,)
    ):
        if place < len(names):
            names[place] = label
    return names


def _width(connection: sqlite3.Connection, version: str) -> int | None:
    """The number of probabilities of a version's newest answer; None without one."""
    found = connection.execute(
        "SELECT length(probabilities) / 4 FROM answers WHERE version = ? "
        "ORDER BY window DESC LIMIT 1",
        (version,),
    ).fetchone()
    return None if found is None else int(found[0])
