"""One evaluation of handwritten digits, shared by the tests that look at it."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.tests.small_artifacts import (
    fitted,
    png,
    read_results,
    run_evaluate,
    write_examples,
    write_model,
)
from darkroom.artifacts import model as model_format
from darkroom.artifacts.evaluation import Evaluation, read_evaluation
from darkroom.storage.atomic import write_json

HISTORY = {
    "epochs": [
        {
            "epoch": epoch,
            "phase": "head" if epoch < 3 else "fine_tune",
            "loss": 2.0 / epoch,
            "val_loss": 2.2 / epoch,
            "accuracy": 1 - 0.5 / epoch,
            "val_accuracy": 1 - 0.6 / epoch,
        }
        for epoch in range(1, 6)
    ],
    "best_epoch": 4,
}
EXPORTS = {
    "images": 100,
    "split": "test",
    "forms": [
        {
            "form": "saved_model",
            "file": ".",
            "bytes": 4_560_000,
            "milliseconds": 7.25,
            "accuracy": 0.91,
        },
        {
            "form": "tflite_int8",
            "file": "exports/model_int8.tflite",
            "bytes": 640_000,
            "milliseconds": 0.5,
            "largest_difference": 0.0321,
            "agreement": 0.985,
            "accuracy": 0.905,
        },
    ],
}
SETTINGS = {
    "slices": ["label", "scanner", "room"],
    "thresholds": {
        "accuracy": {"at_least": 0.5, "every_slice_at_least": 0.99},
        "log_loss": 5.0,
    },
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What one evaluation took and gave."""

    examples: Path
    model: Path
    rows: list[dict[str, Any]]
    verdict: str
    evaluation: Evaluation
    results: list[dict[str, Any]]
    report: str


@pytest.fixture(scope="session")
def digit_rows() -> list[dict[str, Any]]:
    """300 digits: the scanner `old` adds noise, `rare` has 4 images, some have no room."""
    from sklearn.datasets import load_digits

    generator = np.random.default_rng(7)
    digits = load_digits()
    rows = []
    for number in range(300):
        image = digits.images[number] * 255 / 16
        scanner = "rare" if number < 4 else ("old", "new")[number % 2]
        if scanner == "old":
            image = image + generator.normal(0, 60, image.shape)
        row = {
            "image_bytes": png(np.clip(image, 0, 255).astype(np.uint8)),
            "image_path": f"scans/{number}.png",
            "label": str(digits.target[number]),
            "scanner": scanner,
        }
        rows.append(row | ({"room": number % 3} if number % 5 else {}))
    return rows


@pytest.fixture(scope="session")
def digits_examples(
    digit_rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("digits") / "examples"
    return write_examples(folder, digit_rows, {"scanner": "bytes", "room": "int"})


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has seen too few digits to be good at them."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images[-150:] * 255 / 16).astype(np.uint8)
    weights, bias = fitted(images, digits.target[-150:], strength=0.5)
    labels = [str(number) for number in range(10)]
    folder = tmp_path_factory.mktemp("digits") / "model"
    write_model(folder, labels, weights, bias, HISTORY)
    write_json(folder / model_format.EXPORTS_FILE, EXPORTS)
    return folder


@pytest.fixture(scope="session")
def digits_run(
    digits_examples: Path,
    digits_model: Path,
    digit_rows: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    output = tmp_path_factory.mktemp("digits") / "output"
    verdict, evaluation, report = run_evaluate(digits_examples, digits_model, SETTINGS, output)
    return Run(
        examples=digits_examples,
        model=digits_model,
        rows=digit_rows,
        verdict=verdict,
        evaluation=read_evaluation(evaluation),
        results=read_results(evaluation),
        report=report.read_text(encoding="utf-8"),
    )
