"""Embeddings: only the head is trained, as on a frozen backbone; the full network is exported."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.train.export.parity import comparison_of
from components.train.settings import TrainSettings
from components.train.tests.conftest import COUNTS, Transformed
from components.train.train import train
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import SIGNATURE_OUTPUTS
from darkroom.artifacts.transformed import (
    Embeddings,
    read_transform_graph,
    read_transformed_examples,
)
from darkroom.errors import DarkroomError, StepError
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Embedded:
    graph: Path
    records: Path
    weights: Path
    values: dict[str, npt.NDArray[np.float16]]


@pytest.fixture(scope="module")
def embedded(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    """The embeddings of the pixels by a random backbone, whose weights are in a file."""
    from components.train.model.network import build_network

    folder = tmp_path_factory.mktemp("embedded")
    # Of a seed of their own, so that a network of the tests' seed is another without the file.
    given = {"backbone": "small_cnn", "weights": "none", "seed": 5}
    settings = TrainSettings.model_validate(given)
    network = build_network(settings, read_transform_graph(transformed.graph), "none")
    weights = folder / "backbone.weights.h5"
    network.backbone.save_weights(weights)
    records = folder / "records"
    values: dict[str, Any] = {}
    records.mkdir()
    for split, pixels in transformed.pixels.items():
        values[split] = np.asarray(network.embedding(pixels, training=False)[0]).astype("<f2")
        with (records / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for value, index in zip(values[split], transformed.indices[split], strict=True):
                record = {"embedding": value.tobytes(), "label_index": int(index)}
                write_record(file, serialized_example(record))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    made_by = Embeddings("small_cnn", None, digest, values["train"].shape[1])
    content = {"counts": COUNTS, "stored_size": {}, "embeddings": dataclasses.asdict(made_by)}
    write_manifest(records, "transformed_examples", content)
    return Embedded(transformed.graph, records, weights, values)


def run_train(given: Embedded, out: Path, records: Path | None = None, **settings: Any) -> Path:
    values = {"backbone": "small_cnn", "weights": str(given.weights), "epochs": 4} | settings
    train(
        records or given.records,
        given.graph,
        TrainSettings.model_validate({"batch_size": 16, "learning_rate": 0.02} | values),
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    return out / "model"


@pytest.fixture(scope="module")
def trained(embedded: Embedded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_train(embedded, tmp_path_factory.mktemp("trained"), export=["tflite", "onnx"])


def history(model: Path) -> Any:
    return json.loads((model / "history.json").read_text())


def test_it_is_the_training_that_pixels_give_behind_a_frozen_backbone(
    embedded: Embedded, transformed: Transformed, trained: Path, tmp_path: Path
) -> None:
    on_pixels = history(run_train(embedded, tmp_path, records=transformed.records))
    on_embeddings = history(trained)
    assert {epoch["phase"] for epoch in on_embeddings["epochs"]} == {"head"}
    assert on_embeddings["epochs"][-1]["val_accuracy"] > 0.9
    for key in ("loss", "val_loss"):
        losses = [[epoch[key] for epoch in run["epochs"]] for run in (on_embeddings, on_pixels)]
        # Apart by what float16 rounds off.
        assert losses[0] == pytest.approx(losses[1], rel=5e-3)


def test_the_whole_network_is_exported(
    embedded: Embedded, transformed: Transformed, trained: Path
) -> None:
    """With the backbone that gave the embeddings, and the head of the best epoch."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(trained))  # held, since its variables live with it
    given = {n: frozenset(s.structured_outputs) for n, s in loaded.signatures.items()}
    assert {name: given[name] for name in SIGNATURE_OUTPUTS} == SIGNATURE_OUTPUTS
    images = [tf.io.encode_png(image).numpy() for image in transformed.pixels["valid"]]
    embedding = loaded.signatures["embedding"](image_bytes=tf.constant(images))["embedding"]
    assert embedding.numpy() == pytest.approx(embedded.values["valid"], rel=2e-3, abs=1e-4)
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant(images))
    probabilities = answer["probabilities"].numpy()
    chosen = probabilities[np.arange(len(images)), transformed.indices["valid"]]
    run = history(trained)
    expected = run["epochs"][run["best_epoch"] - 1]["val_loss"]
    assert -np.log(chosen).mean() == pytest.approx(expected, rel=5e-3)


def test_further_forms_are_compared_on_patterns(trained: Path, embedded: Embedded) -> None:
    document = json.loads((trained / "exports.json").read_text())
    assert [row["form"] for row in document["forms"]] == ["saved_model", "tflite", "onnx"]
    assert all(row["agreement"] == 1 for row in document["forms"][1:])
    source = read_transformed_examples(embedded.records)
    patterns = comparison_of(source, read_transform_graph(embedded.graph), 0).images
    assert len({pattern.tobytes() for pattern in patterns}) == document["images"] == 100
    assert document["split"] is None
    assert not any("accuracy" in row for row in document["forms"])


def test_the_stream_gives_what_is_stored(embedded: Embedded, transformed: Transformed) -> None:
    from components.train.data.batches import WorkerShard, evaluation_stream

    source = read_transformed_examples(embedded.records)
    assert source.record_bytes("train") == embedded.values["train"][0].nbytes
    stream = evaluation_stream(
        source, read_transform_graph(embedded.graph), "valid", WorkerShard(8)
    )
    batches = [[part.numpy() for part in batch[:2]] for batch in stream]
    values, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    assert values.dtype == np.float32
    assert np.array_equal(values, embedded.values["valid"])
    assert np.array_equal(labels.argmax(1), transformed.indices["valid"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fine_tune_epochs": 1}, r"^train\.fine_tune_epochs is not for embeddings"),
        ({"augmentation": {"flip": True}}, r"^train\.augmentation is not for embeddings"),
        ({"standardize": True}, r"^train\.standardize is not for embeddings"),
        ({"from_model": "former"}, r"^train\.from_model is not for embeddings"),
        (
            {"export": ["tflite_int8"]},
            r"^train\.export tflite_int8 is calibrated on training photo",
        ),
        ({"weights": "missing.h5"}, r"^cannot read the weights file missing\.h5: No such file"),
        (
            {"weights": "none"},
            r"small_cnn \(weights \w{12}\), and .* set to small_cnn \(weights none\)",
        ),
    ],
)
def test_what_embeddings_cannot_do_is_refused(
    embedded: Embedded, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DarkroomError, match=message) as raised:
        run_train(embedded, tmp_path, **settings)
    assert "\n" not in str(raised.value)


def test_another_backbone_or_other_weights_are_refused(embedded: Embedded, tmp_path: Path) -> None:
    other: dict[str, Any] = {"backbone": "MobileNetV2", "alpha": 0.35}
    message = r"small_cnn \(weights \w{12}\), and .* MobileNetV2 \(weights \w{12}, alpha 0\.35\)"
    with pytest.raises(StepError, match=message):
        run_train(embedded, tmp_path, **other)
    changed = tmp_path / "changed.weights.h5"
    changed.write_bytes(embedded.weights.read_bytes() + b"\0")
    with pytest.raises(StepError, match=r"embeddings of small_cnn .* set to small_cnn"):
        run_train(embedded, tmp_path, weights=str(changed))
    assert not (tmp_path / "model").exists()
