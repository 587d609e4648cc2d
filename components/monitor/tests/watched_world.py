"""Databases to look at: days of answers, labels that come late, a change, and what people did."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.monitor.monitor import watch
from components.monitor.state.database import opened, transaction
from components.monitor.tests.small_world import (
    DAY,
    START,
    days,
    drawn,
    image_id,
    reference,
    settings,
    write_samples,
)

CAMERAS = 6
"""With three labels, and each camera's labels, these are 27 slices."""
HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"
"""A camera's name, as users may give one."""


def watched(
    folder: Path,
    windows: int = 30,
    photographs: int = 60,
    *,
    change: int | None = 20,
    labelled: float = 0.8,
    known: bool = True,
    second: int | None = 24,
    window: Any = "day",
) -> Path:
    """A model that is watched.

    Args:
        folder: Where samples, labels and the database are.
        windows: Days.
        photographs: Of a day.
        change: The day from which on tulips abound and answers are worse.
        labelled: The share of each day's photographs but the last two days'.
        known: Whether the monitor knows what the versions were like.
        second: The day from which on version 2 answers.
        window: The size of windows.
    """
    drawn_days = [
        drawn(photographs, day, (0.2, 0.2, 0.6), 1.2)
        if change is not None and day >= change and (second is None or day < second)
        else drawn(photographs, day)
        for day in range(windows)
    ]
    samples, labels = days(drawn_days)
    if second is not None:
        for sample in samples[second * photographs :]:
            sample["version"] = 2
    write_samples(folder, samples)
    _write_labels(folder / "labels.csv", labels, photographs, labelled)
    references = {"1": reference(), "2": reference()} if known else {}
    slices = ("label", "camera", ("camera", "label"))
    of = settings(folder, slices=slices, window=window)
    watch(of, folder / "monitor.db", _with_valid(references), START + windows * DAY)
    return folder / "monitor.db"


def _with_valid(references: dict[str, Any]) -> dict[str, Any]:
    """References that accuracy can be estimated by."""
    truth, probabilities = drawn(800, seed=98)
    sure = probabilities.max(axis=1).tolist()
    right = (probabilities.argmax(axis=1) == truth).tolist()
    valid = list(zip(sure, right, strict=True))
    return {version: of._replace(valid=valid) for version, of in references.items()}


def _write_labels(path: Path, labels: Sequence[str], photographs: int, share: float) -> None:
    generator = np.random.default_rng(5)
    cameras = [*(f"camera {place}" for place in range(CAMERAS - 1)), HOSTILE]
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_id", "label", "labelled_at", "camera"])
        for number, label in enumerate(labels[: max(len(labels) - 2 * photographs, photographs)]):
            if generator.random() < share:
                at = START + number / photographs * DAY + generator.exponential(DAY / 3)
                rows.writerow([image_id(number), label, at, cameras[number % CAMERAS]])


def add_events(database: Path, windows: int = 30) -> None:
    """Alerts of every state, what became of versions, and a retraining."""

    def day(number: float) -> float:
        return START + number * DAY

    slice_name = json.dumps({"camera": HOSTILE, "label": "roses"})
    alerts = [
        ("1", "floor", "accuracy", day(21), day(21.5), None, "accuracy is 0.71, under 0.85",
         {"value": 0.7123, "floor": 0.85, "photographs": 96}, None, None),
        ("1", "fall", f"accuracy {slice_name}", day(22), day(22.2), None,
         f"accuracy of {HOSTILE} has fallen from 0.95 to 0.60", {"before": 0.95, "after": 0.6},
         day(22.5), "ann"),
        ("1", "drift", "label=tulips", day(21), day(21.1), None, "answers are other ones",
         {"log_e_value": 31.2}, None, None),
        ("1", "labels_stopped", "", day(28), day(29.5), None, "no label for two days", {},
         None, None),
        ("1", "no_traffic", "", day(10), day(10.1), day(10.9), "no answer for six hours",
         {"hours": 6}, None, None),
    ]  # fmt: skip
    marks = [
        (day(0.01), "pushed", "1", "blessed"),
        (day(22.9), "retraining", "", ""),
        (day(23.5), "pushed", "2", "blessed against 1"),
        (day(23.6), "canary", "2", "10 % of the requests"),
        (day(24), "promoted", "2", ""),
    ]
    with opened(database) as connection, transaction(connection):
        for version, kind, subject, window, when, closed, message, figures, seen, by in alerts:
            connection.execute(
                "INSERT INTO alerts (version, kind, subject, window, opened, closed, message, "
                "figures, acknowledged, acknowledged_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(version, kind, subject, int(window), when, closed, message),
                    *(json.dumps(figures), seen, by),
                ),
            )
        connection.execute("INSERT INTO mutes VALUES ('drift', '', 4e9)")
        connection.executemany("INSERT INTO marks VALUES (?, ?, ?, ?)", marks)
        connection.execute(
            "INSERT INTO retrainings VALUES (1, ?, 'accuracy < 0.85', 'fine_tune', 812, 'run-7', "
            "'pushed version 2')",
            (day(22.8),),
        )
