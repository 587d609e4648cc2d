"""Photographs with several labels: sigmoid, thresholds of the valid split, predicted names."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.data.batches import (
    WorkerShard,
    count_labels,
    embeddings_parser,
    evaluation_stream,
    training_stream,
)
from components.train.export.parity import compared
from components.train.export.runtime import Answers, ask
from components.train.model.losses import MultiLabelLoss, positive_weights
from components.train.model.network import former_weights
from components.train.model.thresholds import (
    BINS,
    best_threshold,
    choose_thresholds,
    macro_f1,
)
from components.train.settings import TrainSettings
from components.train.tests.conftest import COUNTS, SIZE, Transformed, save_graph
from components.train.train import train
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import read_model, signature_outputs
from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow

LABELS = ("blue", "dark green", "red")
SETTINGS = {
    "backbone": "small_cnn",
    "weights": "none",
    "epochs": 5,
    "batch_size": 16,
    "learning_rate": 0.005,
    "augmentation": {"flip": True, "mixup": 0.1, "cutmix": 0.1},
    "class_weights": "balanced",
    "label_smoothing": 0.02,
    "tensorboard": True,
    "export": ["tflite", "tflite_integer"],
}


def coloured(count: int, seed: int) -> tuple[Any, Any]:
    """Noise with more of some colours, which are the labels, the last of them rare."""
    generator = np.random.default_rng(seed)
    has = generator.random((count, 3)) < [0.5, 0.5, 0.2]
    has[~has.any(axis=1), 0] = True
    pixels = generator.integers(0, 120, (count, SIZE, SIZE, 3))
    pixels += 90 * has[:, np.newaxis, np.newaxis, ::-1]
    return pixels.astype(np.uint8), has


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    folder = tmp_path_factory.mktemp("several")
    graph, records = folder / "graph", folder / "records"
    records.mkdir()
    pixels, has = {}, {}
    for seed, (split, count) in enumerate(COUNTS.items()):
        pixels[split], has[split] = coloured(count, seed)
        with (records / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for image, row in zip(pixels[split], has[split], strict=True):
                indices = np.flatnonzero(row).tolist()
                record = {"image": image.tobytes(), "label_index": indices}
                write_record(file, serialized_example(record))
    sizes = {split: [SIZE, SIZE] for split in COUNTS}
    write_manifest(records, "transformed_examples", {"counts": COUNTS, "stored_size": sizes})
    save_graph(graph)
    facts = {"labels": LABELS, "image_size": [SIZE, SIZE], "multi_label": True}
    moments = {"pixel_mean": [90.0] * 3, "pixel_variance": [3000.0] * 3}
    write_manifest(graph, "transform_graph", facts | moments)
    return Transformed(graph, records, pixels, has)


@pytest.fixture(scope="module")
def trained(several: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    settings = TrainSettings.model_validate(SETTINGS)
    train(
        several.records,
        several.graph,
        settings,
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    return out / "model"


def answers(model: Path, several: Transformed, split: str) -> Any:
    """Labels and probabilities that `serving_default` gives for a split."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    images = tf.stack([tf.io.encode_png(image) for image in several.pixels[split]])
    given = loaded.signatures["serving_default"](image_bytes=images)
    return {name: value.numpy() for name, value in given.items()}


def test_streams_give_every_label_of_a_photograph(several: Transformed) -> None:
    source, graph = read_transformed_examples(several.records), read_transform_graph(several.graph)
    batches = list(evaluation_stream(source, graph, "valid", WorkerShard(16)).as_numpy_iterator())
    labels, weights = (np.concatenate(column) for column in list(zip(*batches, strict=True))[1:])
    assert labels.dtype == np.float32
    assert np.array_equal(labels[: COUNTS["valid"]], several.indices["valid"])
    assert weights.sum() == COUNTS["valid"]
    counts = several.indices["train"].sum(axis=0)
    assert count_labels(source, graph).tolist() == counts.tolist()
    stream = training_stream(source, graph, WorkerShard(COUNTS["train"]), seed=0)
    _, drawn = next(stream.as_numpy_iterator())
    assert drawn.sum(axis=0).tolist() == counts.tolist()


def test_embeddings_have_every_label_too(several: Transformed) -> None:
    parse = embeddings_parser(2, read_transform_graph(several.graph))
    rows = [{"embedding": np.ones(2, "<f2").tobytes(), "label_index": i} for i in ([0, 2], [1])]
    _, labels = parse(np.array([serialized_example(row) for row in rows], object))
    assert labels.numpy().tolist() == [[1, 0, 1], [0, 1, 0]]


def test_the_loss_is_binary_cross_entropy_with_weights_for_what_is_rare() -> None:
    labels = np.array([[1, 0], [1, 1]], np.float32)
    probabilities = np.array([[0.8, 0.3], [0.6, 0.2]], np.float32)
    losses = -np.log([[0.8, 0.7], [0.6, 0.2]])
    plain = MultiLabelLoss().measure(labels, probabilities).numpy()
    assert plain[:, 0] == pytest.approx(losses.mean(1), rel=1e-5)
    assert plain[:, 1].tolist() == [1, 0]  # of the second, one label of two is right
    weighted = MultiLabelLoss(positive_weights=np.array([0.5, 3.0])).measure(labels, probabilities)
    expected = (losses * [[0.5, 1], [0.5, 3]]).mean(1)
    assert weighted.numpy()[:, 0] == pytest.approx(expected, rel=1e-5)
    smooth = MultiLabelLoss(label_smoothing=0.2).measure(labels[:1], probabilities[:1]).numpy()
    expected = 0.9 * losses[0] - 0.1 * np.log([0.2, 0.3])
    assert smooth[0, 0] == pytest.approx(expected.mean(), rel=1e-5)
    counts = np.array([25, 0, 100, 50])
    assert positive_weights(counts, 100).tolist() == [3, 1, 1, 1]


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_has_a_higher_f1(seed: int) -> None:
    from sklearn.metrics import f1_score

    generator = np.random.default_rng(seed)
    has = generator.random(60) < 0.3
    scores = (np.round(generator.random(60) * 0.6 + 0.3 * has, 2)).astype(np.float32)
    threshold, score = best_threshold(has, scores)
    assert np.float32(threshold) == threshold
    tried = [f1_score(has, scores >= value) for value in np.linspace(0, 1, 301)]
    assert score == pytest.approx(max(tried))
    assert f1_score(has, scores >= np.float32(threshold)) == pytest.approx(score)


def test_a_threshold_stands_between_and_near_a_half() -> None:
    has = np.array([False, False, True, True])
    assert best_threshold(has, np.array([0.1, 0.2, 0.4, 0.9], np.float32)) == pytest.approx(
        (0.3, 1)
    )
    assert best_threshold(~has, np.full(4, 0.25, np.float32)) == pytest.approx((0.125, 2 / 3))
    assert best_threshold(has & False, np.full(4, 0.9, np.float32)) == (0.5, 0.0)
    # One hit of one and two of three are as good as each other.
    even = np.array([False, True, False, True, True], np.bool_)
    scores = np.array([0.1, 0.2, 0.3, 0.5, 0.6], np.float32)
    assert best_threshold(even, scores)[0] == pytest.approx(0.15)
    # Neighbours among float32 are told apart.
    low = np.float32(0.7)
    pair = np.array([low, np.nextafter(low, np.float32(1))])
    threshold, score = best_threshold(np.array([False, True]), pair)
    assert (threshold, score) == (pair[1], 1)


def test_a_label_without_photographs_to_choose_on_is_named(
    several: Transformed, caplog: pytest.LogCaptureFixture
) -> None:
    source, graph = read_transformed_examples(several.records), read_transform_graph(several.graph)
    wider = type(graph)(**{**vars(graph), "labels": (*LABELS, "teal")})

    def model(images: Any, training: bool) -> Any:
        import tensorflow as tf

        return tf.fill([len(images), 4], 0.7)

    with caplog.at_level(logging.INFO):
        thresholds = choose_thresholds(model, source, wider, 16)
    assert thresholds[3] == 0.5
    assert "no valid photograph has the label teal" in caplog.text


def test_it_learns_and_names_what_is_over_the_thresholds(
    trained: Path, several: Transformed
) -> None:
    model = read_model(trained)
    assert model.thresholds is not None
    given = answers(trained, several, "test")
    over = given["probabilities"] >= np.array(model.thresholds, np.float32)
    assert (over == several.indices["test"]).mean() > 0.9
    names = ["|".join(np.array(LABELS)[row]) for row in over]
    assert [text.decode() for text in given["labels"]] == names
    assert model.manifest["labels_separator"] == "|"
    assert np.array_equal(given["label_index"], given["probabilities"].argmax(1))
    assert np.array_equal(given["probability"], given["probabilities"].max(1))
    assert (given["probabilities"].sum(1) > 1.2).any()
    valid = answers(trained, several, "valid")["probabilities"]
    columns = zip(several.indices["valid"].T, valid.T, strict=True)
    chosen = [best_threshold(has, column)[0] for has, column in columns]
    assert model.thresholds == pytest.approx(chosen, abs=1e-5)


def test_its_signatures_are_the_public_ones(trained: Path) -> None:
    import tensorflow as tf

    signatures = tf.saved_model.load(str(trained)).signatures
    given = {name: frozenset(s.structured_outputs) for name, s in signatures.items()}
    assert given == signature_outputs(multi_label=True)
    assert {name for name, outputs in given.items() if "labels" in outputs} == {
        *("serving_default", "from_filenames", "from_examples", "with_key", "xai_model"),
        *("xai_head", "with_embedding"),
    }


def test_an_image_over_no_threshold_has_no_labels(several: Transformed, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    from components.train.export.saved_model import Rule, export
    from components.train.model.network import Network

    pixels = keras.Input((SIZE, SIZE, 3))
    flat = keras.layers.GlobalAveragePooling2D()(pixels)
    probabilities = keras.ops.sigmoid(flat - 90)
    network = Network(
        model=keras.Model(pixels, probabilities),
        backbone=None,
        embedding=keras.Model(pixels, [flat, probabilities]),
        parts=None,
    )
    export(network, read_transform_graph(several.graph), tmp_path, Rule((0.9, 0.5, 0.5)))
    loaded = tf.saved_model.load(str(tmp_path))
    images = np.zeros((3, SIZE, SIZE, 3), np.float32)
    images[1] = [90, 90, 0]
    images[2] = [255, 255, 255]
    given = loaded.signatures["xai_model"](input_images=tf.constant(images))
    assert given["labels"].numpy().tolist() == [b"", b"dark green", b"blue|dark green|red"]


def test_forms_agree_where_they_give_the_same_labels(trained: Path, several: Transformed) -> None:
    reference = Answers(np.array([[0.9, 0.6], [0.9, 0.4]], np.float32), 1.0)
    answer = Answers(np.array([[0.9, 0.4], [0.6, 0.3]], np.float32), 1.0)
    assert compared(answer, reference)["agreement"] == 1
    assert compared(answer, reference, (0.5, 0.5))["agreement"] == 0.5
    document = json.loads((trained / "exports.json").read_text())
    assert [form["form"] for form in document["forms"]] == [
        "saved_model",
        "tflite",
        "tflite_integer",
    ]
    images = several.pixels["test"]
    given = ask("tflite", trained / "exports" / "model.tflite", images).probabilities
    expected = answers(trained, several, "test")["probabilities"]
    assert np.abs(given - expected).max() < 1e-4
    coarse = ask("tflite_integer", trained / "exports" / "model_integer.tflite", images)
    assert np.abs(coarse.probabilities - expected).max() < 0.1
    over = given >= np.array(read_model(trained).thresholds, np.float32)
    right = (over == several.indices["test"]).all(axis=1).mean()
    assert document["forms"][1]["accuracy"] == pytest.approx(right)
    lines = (trained / "exports" / "thresholds.txt").read_text().splitlines()
    assert tuple(map(float, lines)) == read_model(trained).thresholds


def test_tensorboard_shows_no_confusion(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained.parent / "checkpoints" / "tensorboard" / "valid"))
    events.Reload()
    tags = {tag for kind in events.Tags().values() if isinstance(kind, list) for tag in kind}
    assert {"loss", "accuracy"} <= tags
    assert not [tag for tag in tags if "confusion" in tag]


def test_a_model_of_several_labels_does_not_start_one_of_one_label(
    trained: Path, several: Transformed, caplog: pytest.LogCaptureFixture
) -> None:
    graph = read_transform_graph(several.graph)
    settings = TrainSettings.model_validate(SETTINGS | {"from_model": str(trained)})
    assert former_weights(settings, graph) is not None
    single = type(graph)(**{**vars(graph), "multi_label": False})
    assert former_weights(settings, single) is None
    assert "it predicts several labels per photograph" in caplog.text


def test_the_macro_f1_of_validation_is_that_of_the_best_thresholds() -> None:
    """But for the width of a bin; a label that no photograph has does not count."""
    generator = np.random.default_rng(4)
    has = generator.random((400, 3)) < (0.5, 0.1, 0.0)
    scores = np.clip(has * 0.3 + generator.random((400, 3)) * 0.6, 0, 1).astype(np.float32)
    bins = np.rint(scores * (BINS - 1)).astype(int)
    counts = np.zeros((2, 3, BINS), np.float32)
    for label in range(3):
        for side in (0, 1):
            of_side = bins[has[:, label] == side, label]
            counts[side, label] = np.bincount(of_side, minlength=BINS)
    best = [best_threshold(has[:, label], scores[:, label])[1] for label in (0, 1)]
    assert macro_f1(counts) == pytest.approx(np.mean(best), abs=0.02)
    assert macro_f1(np.zeros((2, 3, BINS), np.float32)) == 0.0
