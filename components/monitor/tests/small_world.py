"""A server's samples, labels that come later, and a reference, of a model that is often right."""

import datetime
import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.monitor.drift.answers import confidences, entropies
from components.monitor.drift.shares import histogram
from components.monitor.sequential.changed_share import Counted
from components.monitor.settings import MonitorSettings
from components.monitor.windows.reference import Reference, slice_name

LABELS = ("daisy", "roses", "tulips")
DAY = 86400.0
START = 1_700_006_400.0
"""A midnight, of a Wednesday."""


def drawn(
    count: int, seed: int = 0, shares: Sequence[float] = (0.4, 0.3, 0.3), skill: float = 3.0
) -> tuple[Any, Any]:
    """Labels as places, [N], and probabilities, [N, 3]."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(3, count, p=shares)
    scores = generator.normal(size=(count, 3))
    scores[np.arange(count), truth] += skill
    powers = np.exp(scores)
    return truth, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def image_id(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def sample(number: int, time: float, probabilities: Any, **more: Any) -> dict[str, Any]:
    index = int(np.argmax(probabilities))
    return {
        "time": datetime.datetime.fromtimestamp(time, datetime.UTC).isoformat(),
        "model": "flowers",
        "version": 1,
        "image_id": image_id(number),
        "key": f"k{number}",
        "label": LABELS[index],
        "label_index": index,
        "probability": float(probabilities[index]),
        "probabilities": [float(value) for value in probabilities],
        **more,
    }


def days(windows: Sequence[tuple[Any, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Samples of one day after the other, and the label of each."""
    samples: list[dict[str, Any]] = []
    labels: list[str] = []
    for day, (truth, probabilities) in enumerate(windows):
        for place, row in enumerate(probabilities):
            time = START + day * DAY + place * DAY / len(truth)
            samples.append(sample(len(samples), time, row))
            labels.append(LABELS[truth[place]])
    return samples, labels


def write_samples(
    folder: Path, samples: Sequence[Mapping[str, Any]], name: str = "samples.jsonl"
) -> None:
    (folder / "flowers").mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(each) + "\n" for each in samples)
    (folder / "flowers" / name).write_text(text)


def write_labels(path: Path, labels: Mapping[int, str]) -> None:
    rows = [f"{image_id(number)},{label}\n" for number, label in labels.items()]
    path.write_text("image_id,label\n" + "".join(rows))


def reference(count: int = 2000) -> Reference:
    truth, probabilities = drawn(count, seed=99)
    given = probabilities.argmax(axis=1)
    right = given == truth
    of_label = {
        slice_name({"label": label}): Counted(
            int((right & (truth == place)).sum()), int((truth == place).sum())
        )
        for place, label in enumerate(LABELS)
    }
    return Reference(
        LABELS,
        {label: int((given == place).sum()) for place, label in enumerate(LABELS)},
        {},
        {
            "confidence": histogram("confidence", confidences(probabilities)).tolist(),
            "entropy": histogram("entropy", entropies(probabilities)).tolist(),
        },
        {"{}": Counted(int(right.sum()), count), **of_label},
    )


def settings(folder: Path, **more: Any) -> MonitorSettings:
    given = {"state": str(folder / "state"), "samples": str(folder), "model": "flowers"}
    return MonitorSettings.model_validate(
        {**given, "labels": (str(folder / "labels.csv"),), **more}
    )


def content(database: Path) -> dict[str, list[Any]]:
    """All that is in a database and not a time of reading."""
    connection = sqlite3.connect(database)
    tables = {
        "answers": "version, image_id, time, window, counted",
        "truths": '"by", name, label, conflicting',
        "metrics": "*",
        "shares": "*",
        "embeddings": "*",
        "embedded_windows": "*",
        "bets": "*",
        "tests": "*",
        "windows": "version, window, json_remove(figures, '$.label_delay'), tested",
    }
    try:
        return {
            table: sorted(connection.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)
            for table, columns in tables.items()
        }
    finally:
        connection.close()


def figures(database: Path) -> list[dict[str, Any]]:
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute("SELECT figures FROM windows ORDER BY version, window")
        return [json.loads(row) for (row,) in rows]
    finally:
        connection.close()
