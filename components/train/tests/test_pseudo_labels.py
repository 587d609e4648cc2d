"""Labels that a model gave: counted, and weighed less in the training loss where that is asked."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.augmentation.settings import NO_AUGMENTATION, AugmentationSettings
from components.train.data.batches import WorkerShard, training_stream
from components.train.tests.conftest import COUNTS, Transformed, train_small
from darkroom.artifacts.transformed import (
    TransformedExamples,
    TransformGraph,
    read_transformed_examples,
)
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow

MARKED = 72
WEIGHT = 0.25


@pytest.fixture(scope="module")
def half_marked(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    """The last photographs of train have a label that a model gave, always the same."""
    records = tmp_path_factory.mktemp("marked") / "records"
    shutil.copytree(transformed.records, records)
    first = COUNTS["train"] - MARKED
    with (records / "train-00000-of-00001.tfrecord").open("wb") as file:
        for number, (image, index) in enumerate(
            zip(transformed.pixels["train"], transformed.indices["train"], strict=True)
        ):
            record: dict[str, Any] = {"image": image.tobytes(), "label_index": int(index)}
            if number >= first:
                record |= {"label_index": 0, "pseudo_labelled": 1}
            write_record(file, serialized_example(record))
    manifest = json.loads((records / "manifest.json").read_text())
    (records / "manifest.json").write_text(json.dumps(manifest | {"pseudo_labelled": MARKED}))
    return Transformed(transformed.graph, records, transformed.pixels, transformed.indices)


def batch(
    source: TransformedExamples,
    graph: TransformGraph,
    weight: float,
    augmentation: AugmentationSettings = NO_AUGMENTATION,
) -> tuple[Any, Any, Any]:
    shard = WorkerShard(COUNTS["train"])
    stream = training_stream(source, graph, shard, 0, 0, augmentation, weight)
    images, labels, weights = next(stream.as_numpy_iterator())
    return images, labels, weights


def test_weights_go_with_their_photographs(half_marked: Transformed, graph: TransformGraph) -> None:
    source = read_transformed_examples(half_marked.records)
    assert source.pseudo_labelled == MARKED
    images, labels, weights = batch(source, graph, WEIGHT)
    marked = {image.tobytes() for image in half_marked.pixels["train"][-MARKED:]}
    expected = [WEIGHT if image.tobytes() in marked else 1.0 for image in images]
    assert weights.tolist() == expected
    assert labels.shape == (COUNTS["train"], 3)
    assert (batch(source, graph, 1.0)[2] == 1).all()


def test_where_photographs_are_mixed_so_are_their_weights(
    half_marked: Transformed, graph: TransformGraph
) -> None:
    """Here all marked ones have label 0, so that a weight follows from the share of it."""
    source = read_transformed_examples(half_marked.records)
    _, plain_labels, plain = batch(source, graph, WEIGHT)
    _, labels, weights = batch(source, graph, WEIGHT, AugmentationSettings(mixup=0.8))
    assert ((weights >= WEIGHT - 1e-6) & (weights <= 1 + 1e-6)).all()
    pairs = np.stack([plain, np.roll(plain, 1)], axis=1)
    mixed = pairs[:, 0] != pairs[:, 1]
    own = (weights[mixed] - pairs[mixed, 1]) / (pairs[mixed, 0] - pairs[mixed, 1])
    expected = (
        own[:, np.newaxis] * plain_labels[mixed]
        + (1 - own[:, np.newaxis]) * np.roll(plain_labels, 1, axis=0)[mixed]
    )
    assert labels[mixed] == pytest.approx(expected, abs=1e-5)


def test_wrong_labels_that_weigh_little_do_little_harm(
    half_marked: Transformed, tmp_path: Path
) -> None:
    settings = {"epochs": 8, "learning_rate": 0.01}
    histories = {
        weight: train_small(
            half_marked, tmp_path / str(weight), pseudo_label_weight=weight, **settings
        )
        for weight in (1.0, 0.05)
    }
    last = {weight: history["epochs"][-1] for weight, history in histories.items()}
    assert last[0.05]["val_loss"] < last[1.0]["val_loss"] - 0.1
    assert {history["pseudo_labelled"] for history in histories.values()} == {MARKED}
