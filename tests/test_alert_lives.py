"""The lives of the benchmark `alerts`: their tables are those that the monitor itself writes."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import alerts
from benchmarks.detectors import Photographs
from benchmarks.drift import CHANGED_AT, CHANGES, life
from components.monitor.alerts.alert import read_alerts
from components.monitor.monitor import watch
from components.monitor.settings import MonitorSettings
from components.monitor.state.database import opened
from components.monitor.tests.small_world import image_id, write_labels, write_samples

TABLES = (
    "SELECT window, test, log_e_value, alarm, since, before, after FROM tests",
    "SELECT window, slice, value, low, high, count FROM metrics WHERE metric = 'accuracy'",
    "SELECT window, test, hits, total FROM shares",
)


@pytest.mark.slow
def test_tables_and_alerts_are_those_of_the_monitor(tmp_path: Path) -> None:
    reference, windows = life(CHANGES["a label's share +10 points"], 1)
    windows = windows[CHANGED_AT - 2 : CHANGED_AT + 3]
    with alerts.lived(reference, windows, 0, latest=0) as connection:
        made, lived = read_alerts(connection), content(connection)
    write_days(tmp_path, windows)
    known = alerts.reference_of(reference)
    right = {name.replace('"label"', '"kind"'): each for name, each in known.right.items()}
    settings = MonitorSettings(
        state=str(tmp_path / "state"),
        samples=str(tmp_path),
        model="flowers",
        labels=(str(tmp_path / "labels.csv"),),
        slices=("kind",),
        alerts=alerts.SETTINGS,
    )
    database, now = tmp_path / "monitor.db", alerts.START + len(windows) * alerts.DAY
    report = watch(settings, database, {"1": known._replace(right=right)}, now)
    with opened(database) as connection:
        watched = content(connection)
    assert watched == lived
    assert [alert.key for alert in report.alerts] == [alert.key for alert in made]
    assert [(alert.kind, alert.subject, alert.window) for alert in made] == [
        ("drift", "label", alerts.START + 3 * alerts.DAY)
    ]


def content(connection: sqlite3.Connection) -> list[Any]:
    """The tables that alerts go by; the watched photographs are sliced by `kind`."""
    rows = [connection.execute(table).fetchall() for table in TABLES]
    return [
        sorted(json.loads(json.dumps(each).replace('\\"kind\\"', '\\"label\\"'))) for each in rows
    ]


def write_days(folder: Path, windows: Sequence[Photographs]) -> None:
    """Samples and labels of the photographs of each day."""
    samples: list[dict[str, Any]] = []
    labels: dict[int, str] = {}
    for day, seen in enumerate(windows):
        assert seen.right is not None
        for place, given in enumerate(seen.given.tolist()):
            sure = float(seen.measures["confidence"][place])
            answers = [(1 - sure) / 4] * 5
            answers[given] = sure
            name, other = alerts.NAMES[given], alerts.NAMES[(given + 1) % 5]
            labels[len(samples)] = name if seen.right[place] else other
            samples.append(
                {
                    "time": alerts.START + day * alerts.DAY + place * 100,
                    "version": 1,
                    "image_id": image_id(len(samples)),
                    "label": name,
                    "label_index": given,
                    "probabilities": answers,
                    "brightness": float(seen.measures["brightness"][place]),
                    "kind": name,
                }
            )
    write_samples(folder, samples)
    write_labels(folder / "labels.csv", labels)
