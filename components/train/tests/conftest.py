"""Transformed examples that a small network learns in seconds, and the graph that gave them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.train.model.network import Network, build_network
from components.train.settings import TrainSettings
from components.train.train import train
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.transformed import TransformGraph, read_transform_graph
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

LABELS = ("blue", "green", "red")
SIZE = 12
COUNTS = {"train": 96, "valid": 24, "test": 24}
SMALL_CNN = {"backbone": "small_cnn", "weights": "none", "epochs": 1, "batch_size": 16}


@dataclasses.dataclass(frozen=True)
class Transformed:
    graph: Path
    records: Path
    pixels: dict[str, npt.NDArray[np.uint8]]
    indices: dict[str, npt.NDArray[np.int64]]


def coloured(count: int, seed: int) -> tuple[Any, Any]:
    """Noise with more of one colour, which is the label."""
    generator = np.random.default_rng(seed)
    indices = np.arange(count) % 3
    pixels = generator.integers(0, 120, (count, SIZE, SIZE, 3))
    for image, index in zip(pixels, indices, strict=True):
        image[..., 2 - index] += 60
    return pixels.astype(np.uint8), indices


@pytest.fixture(scope="session")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    folder = tmp_path_factory.mktemp("transformed")
    graph, records = folder / "graph", folder / "records"
    records.mkdir()
    pixels, indices = {}, {}
    for seed, (split, count) in enumerate(COUNTS.items()):
        pixels[split], indices[split] = coloured(count, seed)
        with (records / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for image, index in zip(pixels[split], indices[split], strict=True):
                record = {"image": image.tobytes(), "label_index": int(index)}
                write_record(file, serialized_example(record))
    sizes = {split: [SIZE, SIZE] for split in COUNTS}
    write_manifest(records, "transformed_examples", {"counts": COUNTS, "stored_size": sizes})
    save_graph(graph)
    moments = {
        "pixel_mean": pixels["train"].mean((0, 1, 2)).tolist(),
        "pixel_variance": pixels["train"].var((0, 1, 2)).tolist(),
    }
    facts = {"labels": LABELS, "image_size": [SIZE, SIZE]}
    write_manifest(graph, "transform_graph", facts | moments)
    return Transformed(graph, records, pixels, indices)


def save_graph(folder: Path) -> None:
    """A graph of the form that tf.transform saves: `transform_fn` from dict to dict."""
    import tensorflow as tf

    module = tf.Module()
    text = tf.TensorSpec([None], tf.string)

    def one(encoded: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        resized = tf.image.resize(image, [SIZE, SIZE])
        serialized = tf.io.serialize_tensor(tf.cast(resized, tf.uint8))
        return tf.strings.substr(serialized, -SIZE * SIZE * 3, SIZE * SIZE * 3)

    def transform(inputs: dict[str, Any]) -> dict[str, Any]:
        images = tf.map_fn(one, inputs["image_bytes"])
        return {"image": images, "label_index": tf.zeros_like(inputs["label"], tf.int64)}

    signature = [{"image_bytes": text, "label": text}]
    module.transform_fn = tf.function(transform, input_signature=signature)
    tf.saved_model.save(module, str(folder / "transform_fn"))


def train_small(transformed: Transformed, out: Path, **settings: Any) -> dict[str, Any]:
    """Trains a small network, and returns the history."""
    train(
        transformed.records,
        transformed.graph,
        TrainSettings.model_validate(SMALL_CNN | settings),
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    history: dict[str, Any] = json.loads((out / "model" / "history.json").read_text())
    return history


@pytest.fixture(scope="session")
def graph(transformed: Transformed) -> TransformGraph:
    return read_transform_graph(transformed.graph)


@pytest.fixture
def network(graph: TransformGraph) -> Network:
    return build_network(TrainSettings.model_validate(SMALL_CNN), graph, "none")
