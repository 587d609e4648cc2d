"""The whole graph on photographs of several labels: two handwritten digits side by side."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from components.serve.calls.batching import Batches
from components.serve.protocols.json_prediction import predict_json
from components.serve.settings import ServeSettings
from components.serve.versions.loaded_model import LoadedModel, load_model
from components.serve.versions.model_directory import find_versions
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.model import read_model
from darkroom.artifacts.predictions import read_prediction_rows
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records
from tests.conftest import Finished

pytestmark = pytest.mark.slow

NAMES = ["zero", "one", "two", "three", "four", "five"]
IMAGES = 700
CONFIG = {
    "ingest": {"split": {"train": 0.7, "valid": 0.15, "test": 0.15}, "near_duplicate_distance": -1},
    "transform": {"image_size": [16, 32]},
    "train": {
        "backbone": "small_cnn",
        "weights": "none",
        "epochs": 6,
        "learning_rate": 0.005,
        "class_weights": "balanced",
    },
    "evaluate": {
        "slices": ["label", "pen"],
        "thresholds": {"accuracy": 0.6, "macro_f1": 0.8, "lowest_f1": 0.6},
    },
}


def write_data(folder: Path) -> Path:
    """Pairs of digits with noise over them; a pair of the same digit has one label."""
    from sklearn.datasets import load_digits

    generator = np.random.default_rng(3)
    digits = load_digits()
    chosen = generator.choice(np.flatnonzero(digits.target < len(NAMES)), (IMAGES, 2))
    lines = []
    for number, pair in enumerate(chosen):
        pixels = np.concatenate([digits.images[place] for place in pair], axis=1) * 255 / 16
        noisy = np.clip(pixels + generator.normal(0, 20, pixels.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(folder / f"{number}.png")
        labels = [NAMES[digits.target[place]] for place in pair]
        row = {"image": f"{number}.png", "label": labels, "pen": "ab"[number % 2]}
        lines.append(json.dumps(row))
    table = folder / "pairs.jsonl"
    table.write_text("\n".join(lines))
    return table


@pytest.fixture(scope="module")
def run(command: Callable[..., Finished], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("pairs")
    config = folder / "pairs.yaml"
    config.write_text(yaml.safe_dump({"data": str(write_data(folder)), **CONFIG}))
    return command("run", config, out=folder / "runs")


@pytest.fixture(scope="module")
def served(run: Finished) -> LoadedModel:
    return load_model(find_versions(Path(run.run["pushed"]).parent)[0])


@pytest.fixture(scope="module")
def records(run: Finished) -> list[bytes]:
    examples = read_examples(run.artifact("examples"))
    assert examples.multi_label
    return [record for shard in examples.shards("test") for record in read_records(shard)]


def test_a_model_much_better_than_chance_is_pushed(run: Finished) -> None:
    assert run.code == 0, run.output + run.error
    assert run.run["blessed"] is True
    assert sum(run.run["examples"].values()) == IMAGES
    # Calling every image by every label would have a macro F1 of some 0.47, and none right.
    metrics = run.run["metrics"]
    assert metrics["macro_f1"] > 0.8
    assert metrics["accuracy"] > 0.6
    assert "[train] thresholds of " in run.output
    evaluation = read_evaluation(run.artifact("evaluation"))
    rows = list(read_prediction_rows(evaluation.folder))
    exact = [row["labels"] == row["predicted_labels"] for row in rows]
    assert np.mean(exact) == pytest.approx(metrics["accuracy"])
    assert {len(row["labels"]) for row in rows} == {1, 2}


def test_every_door_gives_the_same_answer(
    run: Finished, served: LoadedModel, records: list[bytes], tmp_path: Path
) -> None:
    import tensorflow as tf

    parsed = [parsed_example(record) for record in records]
    images = [example["image_bytes"][0] for example in parsed]
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(image)
    names, image_bytes = tf.constant([str(file) for file in files]), tf.constant(images)
    signatures = served.signatures
    pixels = signatures["xai_preprocess"](image_bytes=image_bytes)
    doors: dict[str, Any] = {
        "serving_default": signatures["serving_default"](image_bytes=image_bytes),
        "from_filenames": signatures["from_filenames"](filenames=names),
        "from_examples": signatures["from_examples"](examples=tf.constant(records)),
        "with_key": signatures["with_key"](image_bytes=image_bytes, key=names),
        "xai_model": signatures["xai_model"](**pixels),
    }
    instances = [{"b64": base64.b64encode(image).decode()} for image in images]
    body = json.dumps({"instances": instances}).encode()
    answer = json.loads(predict_json(served, body, Batches(ServeSettings()), 1024))
    rows = {row["image_id"]: row for row in read_prediction_rows(run.artifact("evaluation"))}
    evaluated = [rows[example["image_id"][0].decode()] for example in parsed]
    expected = np.array([row["probabilities"] for row in evaluated])
    named = [" ".join(row["predicted_labels"]) for row in evaluated]
    served_probabilities = [row["probabilities"] for row in answer["predictions"]]
    assert np.abs(np.array(served_probabilities) - expected).max() < 1e-5
    assert [row["labels"] for row in answer["predictions"]] == named
    for door in doors.values():
        assert np.abs(door["probabilities"] - expected).max() < 1e-5
        assert [text.decode() for text in door["labels"].numpy()] == named


def test_the_thresholds_are_in_the_manifest_and_in_the_report(run: Finished) -> None:
    model = read_model(Path(run.run["pushed"]))
    assert model.labels == tuple(sorted(NAMES))
    assert model.thresholds is not None
    html = run.artifact("report").read_text(encoding="utf-8")
    assert all(f"<td>{threshold:.3f}</td>" in html for threshold in model.thresholds)
    assert "Confusion matrix" not in html
    slices = {line.split("</h2>")[0] for line in html.split("<h2>Sliced by ")[1:]}
    assert slices == {"label", "pen"}
