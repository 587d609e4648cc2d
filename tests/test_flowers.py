"""The main job on a sample of real photographs, listed in a table, with bad rows among them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from darkroom.artifacts.predictions import read_prediction_rows
from tests.conftest import Finished

pytestmark = pytest.mark.slow


def write_table(flowers: Path, folder: Path) -> Path:
    """Sixty photographs a label with a column to slice by, and one bad row of each kind."""
    table = folder / "flowers.csv"
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.jpg").touch()
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "camera"])
        for label in sorted(path.name for path in flowers.iterdir() if path.is_dir()):
            for number, image in enumerate(sorted((flowers / label).glob("*.jpg"))[:60]):
                writer.writerow([image, label, ("near", "far")[number % 2]])
        writer.writerows([["text.jpg", "roses", "near"], ["empty.jpg", "roses", "near"]])
        writer.writerows([["absent.jpg", "roses", "near"], ["text.jpg", "", "far"], ["text.jpg"]])
    return table


def test_a_sample_of_flowers(
    command: Callable[..., Finished], flowers: Path, mobilenet_weights: Path, tmp_path: Path
) -> None:
    settings = [
        f"train.weights={mobilenet_weights}",
        "train.epochs=8",
        "train.learning_rate=0.003",
        "train.fine_tune_learning_rate=0.0001",
        "ingest.split={train: 0.6, valid: 0.15, test: 0.25}",
        "train.fine_tune_epochs=1",
        "transform.image_size=96",
        "evaluate.slices=[label, camera]",
        "evaluate.thresholds={accuracy: 0.45}",
    ]
    finished = command(
        "run",
        "configs/flowers.yaml",
        *("--data", write_table(flowers, tmp_path)),
        *[part for setting in settings for part in ("--set", setting)],
        out=tmp_path / "runs",
    )
    assert finished.code == 0, finished.output + finished.error
    run = finished.run
    # Three photographs of train are copies of one in valid or test.
    assert sum(run["examples"].values()) == 297
    assert run["rejected"] == {
        "near_duplicate": 3,
        "not_an_image": 1,
        "empty_file": 1,
        "missing_file": 1,
        "no_label": 1,
        "too_few_columns": 1,
    }
    assert "[ingest] rejected: " in finished.output
    assert run["metrics"]["accuracy"] >= 0.45
    assert run["blessed"]
    rows = list(read_prediction_rows(finished.artifact("evaluation")))
    assert len(rows) == run["examples"]["test"]
    assert {row["slices"]["camera"] for row in rows} <= {"near", "far"}
