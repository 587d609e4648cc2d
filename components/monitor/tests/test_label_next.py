"""What to label next, of the batch predictions that are watched."""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.monitor.label_next import label_next
from components.monitor.settings import MonitorSettings
from components.monitor.tests.small_world import LABELS, drawn, image_id, write_labels
from darkroom.artifacts.batch_predictions import KIND
from darkroom.artifacts.manifest import write_manifest
from darkroom.errors import SettingsError


def predicted(folder: Path, first: int, digest: str = "d" * 64, **change: Any) -> str:
    """Predictions of forty photographs."""
    numbers = range(first, first + 40)
    _, probabilities = drawn(40, seed=first, skill=1.0)
    columns = {
        "image": [change.get("image", "/photographs/{}.jpg").format(n) for n in numbers],
        "image_id": [image_id(n) for n in numbers],
        "probabilities": probabilities.tolist(),
        "embedding": np.random.default_rng(first).normal(size=(40, 6)).astype("f4").tolist(),
    }
    columns.pop(change.get("without", ""), None)
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "predictions-00000-of-00001.parquet")
    content = {
        "format": change.get("format", "parquet"),
        "labels": list(LABELS),
        "model": {"digest": digest, "version": 3},
        "counts": {"predicted": 40},
    }
    write_manifest(folder, KIND, content)
    return str(folder)


def settings(world: Path, *folders: str, **labelling: Any) -> MonitorSettings:
    return MonitorSettings.model_validate(
        {
            "state": str(world / "state"),
            "predictions": folders,
            "labels": [str(world / "labels.csv")],
            "labelling": {"budget": 10, **labelling},
        }
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


def test_photographs_of_the_last_model_that_nobody_has_labelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [
        predicted(tmp_path / "old", 500, digest="e" * 64),
        predicted(tmp_path / "a", 0),
        predicted(tmp_path / "b", 40),
    ]
    write_labels(tmp_path / "labels.csv", dict.fromkeys(range(60), "roses"))
    asked = settings(tmp_path, *folders, shares={"mislabelled": 0})
    monitor_log = logging.getLogger("darkroom.monitor")
    monitor_log.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "darkroom.monitor"):
            written = label_next(asked, tmp_path / "next")
    finally:
        monitor_log.removeHandler(caplog.handler)
    assert written.chosen_from == 80
    assert sum(written.reasons.values()) == 10
    assert [path.name for path in written.files] == ["worksheet.csv"]
    chosen = rows(tmp_path / "next" / "worksheet.csv")
    assert {row["image_id"] for row in chosen} <= {image_id(n) for n in range(60, 80)}
    assert "1 of 3 predictions are by another model" in caplog.text
    assert "set monitor.labelling.document_root" in caplog.text
    again = label_next(asked, tmp_path / "again")
    assert again.reasons == written.reasons
    assert rows(tmp_path / "again" / "worksheet.csv") == chosen


def test_tasks_where_the_tool_finds_the_photographs(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", {})
    local = settings(tmp_path, predicted(tmp_path / "a", 0), document_root="/photographs")
    bucket = settings(tmp_path, predicted(tmp_path / "b", 0, image="gs://bucket/{}.jpg"))
    for asked in (local, bucket):
        written = label_next(asked, tmp_path / "next")
        names = [path.name for path in written.files]
        assert names == ["worksheet.csv", "tasks.json", "interface.xml"]
        tasks = json.loads((tmp_path / "next" / "tasks.json").read_text())
        assert len(tasks) == 10
        assert {task["predictions"][0]["model_version"] for task in tasks} == {"version 3"}


def test_what_there_is_nothing_to_choose_from(tmp_path: Path) -> None:
    without = predicted(tmp_path / "without", 0, without="embedding")
    lines = predicted(tmp_path / "lines", 0, format="jsonl")
    for folder, message in (
        (without, "without has no embeddings: predict with embedding: true"),
        (lines, "lines is jsonl: predict with format: parquet"),
    ):
        with pytest.raises(SettingsError, match=message):
            label_next(settings(tmp_path, folder), tmp_path / "next")
    served = MonitorSettings(state="state", samples="samples", model="flowers")
    with pytest.raises(SettingsError, match=r"nothing to choose from: set monitor\.predictions"):
        label_next(served, tmp_path / "next")
    assert not (tmp_path / "next").exists()
