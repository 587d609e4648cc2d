"""Embeddings cross rooms: transform writes those of the network that train exports around them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.train.settings import TrainSettings
from components.transform.settings import TransformSettings
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.transformed import read_transformed_examples
from darkroom.backbones.registry import build_backbone
from darkroom.records.example_proto import parsed_example, serialized_example
from darkroom.records.tfrecord import read_records, write_record

pytestmark = pytest.mark.slow

LABELS = ["dark", "light"]
COUNTS = {"train": 16, "valid": 8}
SIZE = 32


def random_weights(to: Path) -> Path:
    """Weights of a backbone that is random, but does not let all images fade to zero."""
    import keras

    keras.utils.set_random_seed(0)
    backbone = build_backbone("MobileNetV2", (SIZE, SIZE), 0.35, "none")
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    backbone(keras.random.uniform((64, SIZE, SIZE, 3), -1, 1, seed=0), training=True)
    backbone.save_weights(to)
    return to


def write_examples(folder: Path) -> list[bytes]:
    """Writes noise, dark or light, as ingest does; gives the images of the training split."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    written: dict[str, list[bytes]] = {}
    for split, count in COUNTS.items():
        images = written[split] = []
        with (folder / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for number in range(count):
                buffer = io.BytesIO()
                pixels = generator.integers(0, 128, (40, 60, 3)) + 127 * (number % 2)
                Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
                images.append(buffer.getvalue())
                label = LABELS[number % 2]
                features = {"image_bytes": images[-1], "label": label.encode()}
                write_record(file, serialized_example(features))
    write_manifest(folder, "examples", {"labels": LABELS, "counts": COUNTS, "columns": {}})
    return written["train"]


def test_a_model_gives_the_embeddings_that_its_head_was_trained_on(tmp_path: Path) -> None:
    import tensorflow as tf

    from components.train.train import train
    from components.transform.transform import transform

    images = write_examples(tmp_path / "examples")
    weights = random_weights(tmp_path / "random.weights.h5")
    backbone = {"backbone": "MobileNetV2", "alpha": 0.35, "weights": str(weights)}
    graph, records, model = (tmp_path / name for name in ("graph", "records", "model"))
    transform(
        tmp_path / "examples",
        TransformSettings.model_validate({"image_size": SIZE, "embeddings": backbone}),
        transform_graph=graph,
        transformed_examples=records,
    )
    fast = {"epochs": 10, "batch_size": 4, "learning_rate": 0.01}
    settings = TrainSettings.model_validate(backbone | fast)
    train(records, graph, settings, model=model, checkpoints=tmp_path / "checkpoints")
    loaded = tf.saved_model.load(str(model))  # held, since its variables live with it
    signature = loaded.signatures["embedding"]
    given = signature(image_bytes=tf.constant(images))["embedding"].numpy()
    (shard,) = read_transformed_examples(records).shards("train")
    stored = [parsed_example(record)["embedding"][0] for record in read_records(shard)]
    expected = np.stack([np.frombuffer(value, "<f2") for value in stored])
    assert np.abs(given - expected).max() < 1e-3 * np.ptp(expected, axis=0).max()
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant(images))
    assert answer["label"].numpy().tolist() == [b"dark", b"light"] * 8
