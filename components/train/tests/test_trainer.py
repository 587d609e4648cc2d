"""The trainer: early ends, penalties, precision, TensorBoard, and refused inputs."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.model.losses import SingleLabelLoss
from components.train.model.network import Network, build_network
from components.train.settings import TrainSettings
from components.train.tests.conftest import SIZE, SMALL_CNN, Transformed, train_small
from components.train.train import train
from darkroom.artifacts.transformed import TransformGraph
from darkroom.errors import StepError
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights_file(graph: TransformGraph, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    build_network(TrainSettings.model_validate(SMALL_CNN), graph, "none").backbone.save_weights(
        path
    )
    return str(path)


def test_a_phase_ends_early_and_the_next_begins(
    transformed: Transformed, tmp_path: Path, weights_file: str
) -> None:
    """No accuracy is better than the first epoch's where nothing is learnt."""
    history = train_small(
        transformed,
        tmp_path,
        weights=weights_file,
        epochs=9,
        fine_tune_epochs=9,
        learning_rate=1e-12,
        fine_tune_learning_rate=1e-12,
        monitor="val_accuracy",
        patience=2,
    )
    assert [epoch["phase"] for epoch in history["epochs"]] == ["head"] * 3 + ["fine_tune"] * 3
    assert history["best_epoch"] == 1


def test_metrics_are_not_weighted(transformed: Transformed, tmp_path: Path) -> None:
    """By class the weights are up to 3 here, and an accuracy is at most 1."""
    rare = tmp_path / "records"
    shutil.copytree(transformed.records, rare)
    kept = [n for n, index in enumerate(transformed.indices["train"]) if index == 0 or n % 8 == 1]
    with (rare / "train-00000-of-00001.tfrecord").open("wb") as file:
        for number in kept:
            image, index = transformed.pixels["train"][number], transformed.indices["train"][number]
            record = {"image": image.tobytes(), "label_index": int(index)}
            write_record(file, serialized_example(record))
    manifest = json.loads((rare / "manifest.json").read_text())
    manifest["counts"]["train"] = len(kept)
    (rare / "manifest.json").write_text(json.dumps(manifest))
    values = SMALL_CNN | {"class_weights": "balanced", "epochs": 6, "learning_rate": 0.01}
    settings = TrainSettings.model_validate(values)
    out = {name: tmp_path / "out" / name for name in ("model", "checkpoints")}
    train(rare, transformed.graph, settings, **out)
    history = json.loads((out["model"] / "history.json").read_text())
    seen = 3 * 16  # steps of the batch size: some photographs are seen twice
    hits = [epoch["accuracy"] * seen for epoch in history["epochs"]]
    assert hits == pytest.approx([round(hit) for hit in hits], abs=1e-3)
    assert max(hits) <= seen


def test_the_second_phase_starts_from_the_best_head(
    transformed: Transformed, tmp_path: Path, weights_file: str
) -> None:
    """With a first epoch that cannot be beaten, and a second phase that changes next to nothing."""
    common = {"weights": weights_file, "learning_rate": 5.0, "patience": 2, "monitor": "val_loss"}
    common |= {"epochs": 8, "fine_tune_learning_rate": 1e-12, "weight_decay": 0.0}
    history = train_small(transformed, tmp_path, fine_tune_epochs=1, **common)
    head = [epoch for epoch in history["epochs"] if epoch["phase"] == "head"]
    best = min(head, key=lambda epoch: epoch["val_loss"])
    assert best is not head[-1]
    assert history["epochs"][-1]["val_loss"] == pytest.approx(best["val_loss"], rel=1e-4)


def test_another_network_than_the_trained_one_is_not_exported(
    transformed: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As EfficientNet was, which Keras builds otherwise beside its ImageNet weights."""
    from components.train.model import network as module

    built = module.build_network
    calls: list[str] = []

    def otherwise(settings: TrainSettings, graph: TransformGraph, weights: str) -> Network:
        calls.append(weights)
        if len(calls) > 1:
            settings = settings.model_copy(update={"standardize": True})
            graph = dataclasses.replace(graph, pixel_variance=(4.0, 4.0, 4.0))
        return built(settings, graph, weights)

    monkeypatch.setattr(module, "build_network", otherwise)
    with pytest.raises(StepError, match=r"is not the network that was trained: on 16 validation"):
        train_small(transformed, tmp_path, backbone="small_cnn")
    assert not (tmp_path / "model").exists()


def test_a_penalty_shrinks_the_heads_weights(
    transformed: Transformed, network: Network, tmp_path: Path
) -> None:
    def head(out: Path) -> float:
        network.model.load_weights(out / "checkpoints" / "best.weights.h5")
        return float(np.abs(network.model.get_layer("head").get_weights()[0]).sum())

    sizes = []
    for name, penalty in (("none", {}), ("l1", {"l1": 0.1}), ("l2", {"l2": 1.0})):
        train_small(transformed, tmp_path / name, learning_rate=0.01, epochs=3, **penalty)
        sizes.append(head(tmp_path / name))
    assert sizes[1] < 0.9 * sizes[0]
    assert sizes[2] < 0.9 * sizes[0]


def test_a_step_without_a_number_is_named(
    transformed: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third step of the second epoch; the first epoch's checkpoint is kept and complete."""
    import tensorflow as tf

    from components.train.loop.steps import StepRunner

    measure = SingleLabelLoss.measure

    def poisoned(loss: SingleLabelLoss, labels: Any, probabilities: Any) -> Any:
        measures = measure(loss, labels, probabilities)
        # The loss is not a number for one batch of the second epoch only.
        bad = tf.equal(counter.assign_add(1), 6 + 2 + 3)
        return tf.where(bad, np.nan, measures)

    counter = tf.Variable(0)
    monkeypatch.setattr(SingleLabelLoss, "measure", poisoned)
    monkeypatch.setattr(StepRunner, "evaluate", _evaluated_in_two_steps(StepRunner.evaluate))
    with pytest.raises(StepError, match=r"not a number at step 3 of epoch 2: lower train.learn"):
        train_small(transformed, tmp_path, epochs=3)
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["best.probabilities.npy", "best.weights.h5", "training.npz"]
    with np.load(tmp_path / "checkpoints" / "training.npz") as file:
        assert json.loads(file["about"].tobytes())["progress"]["epoch"] == 1


def _evaluated_in_two_steps(evaluate: Any) -> Any:
    """Checks that 24 images in batches of 16 are two steps, on which the test's count relies."""

    def checked(runner: Any, iterator: Any, steps: int) -> Any:
        assert steps == 2
        return evaluate(runner, iterator, steps)

    return checked


@pytest.mark.parametrize("changed", [{"precision": "mixed_bfloat16"}, {"jit_compile": True}])
def test_other_ways_to_compute_learn_the_same(
    transformed: Transformed, tmp_path: Path, changed: dict[str, Any]
) -> None:
    plain = train_small(transformed, tmp_path / "plain")["epochs"][0]
    other = train_small(transformed, tmp_path / "other", **changed)["epochs"][0]
    assert other["loss"] == pytest.approx(plain["loss"], rel=0.1)
    import tensorflow as tf

    signature = tf.saved_model.load(str(tmp_path / "other" / "model")).signatures["xai_model"]
    images = tf.zeros([2, SIZE, SIZE, 3])
    assert signature(input_images=images)["probabilities"].dtype == tf.float32


def test_half_precision_scales_its_loss(transformed: Transformed, tmp_path: Path) -> None:
    epoch = train_small(transformed, tmp_path, precision="mixed_float16", epochs=2)["epochs"][1]
    assert epoch["loss"] < 1.1


def test_tensorboard_shows_what_is_promised(transformed: Transformed, tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = train_small(
        transformed, tmp_path, epochs=2, tensorboard=True, augmentation={"flip": True}
    )
    shown = {}
    for part in ("train", "valid"):
        events = EventAccumulator(str(tmp_path / "checkpoints" / "tensorboard" / part))
        shown[part] = events.Reload()
    tags = {part: events.Tags() for part, events in shown.items()}
    assert tags["train"]["graph"]
    names = set(tags["train"]["tensors"])
    assert {"loss", "accuracy", "learning_rate", "augmented", "head/kernel"} <= names
    losses = [float(tf.make_ndarray(v.tensor_proto)) for v in shown["valid"].Tensors("loss")]
    assert losses == pytest.approx([epoch["val_loss"] for epoch in history["epochs"]])
    last = shown["valid"].Tensors("confusion_table")[-1].tensor_proto
    table = tf.make_ndarray(last).item().decode()
    rows = [[int(cell) for cell in row.split("|")[2:-1]] for row in table.splitlines()[2:]]
    assert np.sum(rows, 1).tolist() == [8, 8, 8]
    hits = np.trace(rows) / np.sum(rows)
    assert hits == pytest.approx(history["epochs"][-1]["val_accuracy"])


@pytest.mark.parametrize("split", ["train", "valid"])
def test_an_empty_split_is_named(transformed: Transformed, tmp_path: Path, split: str) -> None:
    import shutil

    records = tmp_path / "records"
    shutil.copytree(transformed.records, records)
    manifest = json.loads((records / "manifest.json").read_text())
    manifest["counts"][split] = 0
    (records / "manifest.json").write_text(json.dumps(manifest))
    (records / f"{split}-00000-of-00001.tfrecord").unlink()
    with pytest.raises(StepError, match=rf"the {split} split of .* is empty: ingest more"):
        train(
            records,
            transformed.graph,
            TrainSettings.model_validate(SMALL_CNN),
            model=tmp_path / "model",
            checkpoints=tmp_path / "checkpoints",
        )
