"""What the settings of fine-tuning do: phases, rates, weights, early ends, former models."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.model.losses import SingleLabelLoss, balanced_weights
from components.train.model.network import Network, build_network
from components.train.model.phases import (
    Phase,
    build_optimizer,
    plan_phases,
    rate_factors,
    set_trainable,
)
from components.train.settings import TrainSettings
from components.train.tests.conftest import SIZE, Transformed
from components.train.train import train
from darkroom.artifacts.transformed import TransformGraph, read_transform_graph
from darkroom.errors import SettingsError, StepError

pytestmark = pytest.mark.slow

SMALL = {"backbone": "small_cnn", "weights": "none", "epochs": 1, "batch_size": 16}


def run(transformed: Transformed, out: Path, **settings: Any) -> dict[str, Any]:
    """Trains, and gives the history."""
    train(
        transformed.records,
        transformed.graph,
        TrainSettings.model_validate(SMALL | settings),
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    history: dict[str, Any] = json.loads((out / "model" / "history.json").read_text())
    return history


@pytest.fixture(scope="module")
def graph(transformed: Transformed) -> TransformGraph:
    return read_transform_graph(transformed.graph)


@pytest.fixture
def network(graph: TransformGraph) -> Network:
    return build_network(TrainSettings.model_validate(SMALL), graph, "none")


@pytest.fixture(scope="module")
def weights_file(graph: TransformGraph, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    build_network(TrainSettings.model_validate(SMALL), graph, "none").backbone.save_weights(path)
    return str(path)


@pytest.fixture(scope="module")
def former(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("former")
    run(transformed, out, epochs=3, learning_rate=0.01)
    return out / "model"


def test_rates_scale_with_the_batch_they_were_found_with() -> None:
    values = SMALL | {"weights": "w.h5", "fine_tune_epochs": 2, "batch_size": 128}
    plain = plan_phases(TrainSettings.model_validate(values))
    scaled = plan_phases(TrainSettings.model_validate(values | {"learning_rate_batch_size": 32}))
    assert [phase.name for phase in plain] == ["head", "fine_tune"]
    assert [phase.learning_rate for phase in plain] == [1e-3, 2e-4]
    assert [phase.learning_rate for phase in scaled] == pytest.approx([4e-3, 8e-4])


def test_layers_freeze_as_the_phase_says(network: Network) -> None:
    backbone = network.backbone
    names = [layer.name for layer in backbone.layers]
    convolutions = [name for name in names if "conv" in name]
    norms = [layer for layer in backbone.layers if "batch_normalization" in layer.name]

    def trained() -> set[str]:
        return {layer.name for layer in backbone.layers if layer.trainable_weights}

    set_trainable(backbone, Phase("head", 1, 0.1, False, True))
    assert trained() == set()
    set_trainable(backbone, Phase("fine_tune", 1, 0.1, True, True, convolutions[1]))
    assert trained() == set(convolutions[1:])
    set_trainable(backbone, Phase("fine_tune", 1, 0.1, True, False, convolutions[1]))
    assert trained() == {*convolutions[1:], *(norm.name for norm in norms[1:])}
    wrong = convolutions[1][:-1] + "x"
    with pytest.raises(SettingsError, match=r"train.fine_tune_from: .* did you mean 'conv2d"):
        set_trainable(backbone, Phase("fine_tune", 1, 0.1, True, True, wrong))


def test_deeper_layers_step_less(network: Network) -> None:
    """With a gradient of one everywhere, Adam's first step is the learning rate itself."""
    import tensorflow as tf

    phase = Phase("fine_tune", 1, 0.1, True, True, depth_decay=0.125)
    set_trainable(network.backbone, phase)
    variables = network.model.trainable_variables
    factors = rate_factors(network.backbone, phase)
    optimizer = build_optimizer(phase, 10, 0.0, variables, factors, scale_loss=False)
    optimizer.iterations.assign(1)  # the peak, after a ramp of one step
    before = [variable.numpy() for variable in variables]
    optimizer.apply([tf.ones_like(variable.value) for variable in variables], variables)
    steps = [np.abs(v.numpy() - b).mean() for v, b in zip(variables, before, strict=True)]
    assert [step / steps[-1] for step in steps] == pytest.approx([0.125, 0.25, 0.5, 1, 1], rel=1e-3)


def test_weight_decay_spares_vectors(network: Network) -> None:
    import tensorflow as tf

    phase = Phase("scratch", 1, 0.1, True, False)
    set_trainable(network.backbone, phase)
    variables = network.model.trainable_variables
    optimizer = build_optimizer(phase, 10, 0.5, variables, {}, scale_loss=False)
    optimizer.iterations.assign(1)
    before = [variable.numpy() for variable in variables]
    optimizer.apply([tf.zeros_like(variable.value) for variable in variables], variables)
    for variable, value in zip(variables, before, strict=True):
        kept = 1 if len(variable.shape) < 2 else 1 - 0.1 * 0.5
        assert variable.numpy() == pytest.approx(value * kept, rel=1e-5)


def test_balanced_weights_make_up_for_rarity() -> None:
    counts = np.array([60, 30, 10, 0])
    weights = balanced_weights(counts)
    assert (weights * counts)[:3] == pytest.approx([100 / 3] * 3)
    assert weights[3] == 0
    objective = SingleLabelLoss(class_weights=weights)
    assert objective.weights(np.eye(4, dtype=np.float32)).numpy() == pytest.approx(weights)


def test_smoothing_and_hits_are_measured() -> None:
    labels = np.eye(4, dtype=np.float32)[[0, 1]]
    probabilities = np.array([[0.7, 0.1, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1]], np.float32)
    measures = SingleLabelLoss(label_smoothing=0.2).measure(labels, probabilities).numpy()
    smooth = labels * 0.8 + 0.05
    assert measures[:, 0] == pytest.approx(-(smooth * np.log(probabilities)).sum(1), rel=1e-5)
    assert measures[:, 1].tolist() == [1, 0]


def test_a_phase_ends_early_and_the_next_begins(
    transformed: Transformed, tmp_path: Path, weights_file: str
) -> None:
    """No accuracy is better than the first epoch's where nothing is learnt."""
    history = run(
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


def test_a_penalty_shrinks_the_heads_weights(
    transformed: Transformed, network: Network, tmp_path: Path
) -> None:
    def head(out: Path) -> float:
        network.model.load_weights(out / "checkpoints" / "best.weights.h5")
        return float(np.abs(network.model.get_layer("head").get_weights()[0]).sum())

    sizes = []
    for name, penalty in (("none", {}), ("l1", {"l1": 0.1}), ("l2", {"l2": 1.0})):
        run(transformed, tmp_path / name, learning_rate=0.01, epochs=3, **penalty)
        sizes.append(head(tmp_path / name))
    assert sizes[1] < 0.9 * sizes[0]
    assert sizes[2] < 0.9 * sizes[0]


def test_a_former_model_is_the_start(
    transformed: Transformed, tmp_path: Path, former: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a learning rate of nearly zero, the former model's losses are what is seen."""
    logging.getLogger("darkroom").propagate = True
    before = json.loads((former / "history.json").read_text())
    best = before["epochs"][before["best_epoch"] - 1]
    with caplog.at_level(logging.INFO):
        history = run(
            transformed,
            tmp_path,
            from_model=str(former),
            fine_tune_epochs=1,
            fine_tune_learning_rate=1e-12,
            augmentation={"flip": True},
            dropout=0.3,
        )
    assert f"starts from the weights of {former}" in caplog.text
    assert [epoch["phase"] for epoch in history["epochs"]] == ["fine_tune"]
    assert history["epochs"][0]["val_loss"] == pytest.approx(best["val_loss"], rel=1e-4)


def test_other_labels_or_another_backbone_train_from_scratch(
    transformed: Transformed,
    graph: TransformGraph,
    tmp_path: Path,
    former: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import dataclasses

    from components.train.model.warm_start import former_weights

    logging.getLogger("darkroom").propagate = True
    settings = TrainSettings.model_validate(SMALL | {"from_model": str(former)})
    assert former_weights(settings, graph) is not None
    fewer = dataclasses.replace(graph, labels=graph.labels[:2])
    assert former_weights(settings, fewer) is None
    assert f"trains from scratch, not from {former}: its 3 labels are others" in caplog.text
    other = settings.model_copy(update={"backbone": "MobileNetV2"})
    assert former_weights(other, graph) is None
    assert "its backbone is small_cnn" in caplog.text
    with pytest.raises(StepError, match=r"nowhere does not exist"):
        run(transformed, tmp_path, from_model=str(tmp_path / "nowhere"))


def test_a_step_without_a_number_is_named(
    transformed: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third step of the second epoch; what was saved after the first stays, and is whole."""
    import tensorflow as tf

    from components.train.loop.steps import StepRunner

    measure = SingleLabelLoss.measure

    def poisoned(objective: SingleLabelLoss, labels: Any, probabilities: Any) -> Any:
        measures = measure(objective, labels, probabilities)
        # The loss that is no number comes with one batch of the second epoch alone.
        bad = tf.equal(counter.assign_add(1), 6 + 2 + 3)
        return tf.where(bad, np.nan, measures)

    counter = tf.Variable(0)
    monkeypatch.setattr(SingleLabelLoss, "measure", poisoned)
    monkeypatch.setattr(StepRunner, "evaluate", _evaluated_in_two_steps(StepRunner.evaluate))
    with pytest.raises(StepError, match=r"not a number at step 3 of epoch 2: lower train.learn"):
        run(transformed, tmp_path, epochs=3)
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["best.weights.h5", "training.npz"]
    with np.load(tmp_path / "checkpoints" / "training.npz") as file:
        assert json.loads(file["about"].tobytes())["progress"]["epoch"] == 1


def _evaluated_in_two_steps(evaluate: Any) -> Any:
    """24 images at 16 a batch are two steps; said here so that the test's count is seen."""

    def checked(loop: Any, iterator: Any, steps: int) -> Any:
        assert steps == 2
        return evaluate(loop, iterator, steps)

    return checked


@pytest.mark.parametrize("changed", [{"precision": "mixed_bfloat16"}, {"jit_compile": True}])
def test_other_ways_to_compute_learn_the_same(
    transformed: Transformed, tmp_path: Path, changed: dict[str, Any]
) -> None:
    plain = run(transformed, tmp_path / "plain")["epochs"][0]
    other = run(transformed, tmp_path / "other", **changed)["epochs"][0]
    assert other["loss"] == pytest.approx(plain["loss"], rel=0.1)
    import tensorflow as tf

    signature = tf.saved_model.load(str(tmp_path / "other" / "model")).signatures["xai_model"]
    images = tf.zeros([2, SIZE, SIZE, 3])
    assert signature(input_images=images)["probabilities"].dtype == tf.float32


def test_half_precision_scales_its_loss(transformed: Transformed, tmp_path: Path) -> None:
    epoch = run(transformed, tmp_path, precision="mixed_float16", epochs=2)["epochs"][1]
    assert epoch["loss"] < 1.1


def test_tensorboard_shows_what_is_promised(transformed: Transformed, tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = run(transformed, tmp_path, epochs=2, tensorboard=True, augmentation={"flip": True})
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
            TrainSettings.model_validate(SMALL),
            model=tmp_path / "model",
            checkpoints=tmp_path / "checkpoints",
        )
