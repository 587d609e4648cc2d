"""The train step: a trained model, with all signatures and the best weights."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.settings import TrainSettings
from components.train.tests.conftest import LABELS, SIZE, Transformed
from components.train.train import train
from darkroom.artifacts.model import SIGNATURE_OUTPUTS, read_model
from darkroom.errors import SettingsError, StepError
from darkroom.records.example_proto import serialized_example

pytestmark = pytest.mark.slow

SMALL = {"backbone": "small_cnn", "weights": "none", "epochs": 4, "batch_size": 16}


def run_train(transformed: Transformed, out: Path, **settings: Any) -> Path:
    train(
        transformed.records,
        transformed.graph,
        TrainSettings.model_validate(SMALL | settings),
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    return out / "model"


@pytest.fixture(scope="session")
def trained(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    augmentation = {"flip": True, "rotation": 0.1, "translation": 0.1, "zoom": 0.1, "contrast": 0.1}
    out = tmp_path_factory.mktemp("trained")
    return run_train(transformed, out, augmentation=augmentation, dropout=0.1)


def png_bytes(transformed: Transformed, split: str = "test") -> list[bytes]:
    import tensorflow as tf

    return [tf.io.encode_png(image).numpy() for image in transformed.pixels[split]]


def test_it_learns_and_keeps_the_best_epoch(trained: Path) -> None:
    history = json.loads((trained / "history.json").read_text())
    epochs = history["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
    assert {epoch["phase"] for epoch in epochs} == {"scratch"}
    losses = [epoch["val_loss"] for epoch in epochs]
    assert history["best_epoch"] == losses.index(min(losses)) + 1
    assert epochs[0]["learning_rate"] > 0
    assert (trained / "labels.txt").read_text().splitlines() == list(LABELS)
    assert read_model(trained).labels == LABELS


def test_the_export_holds_the_best_weights(trained: Path, transformed: Transformed) -> None:
    """The exported model has the validation loss of the best epoch."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(trained)).signatures["xai_model"]
    images = tf.cast(transformed.pixels["valid"], tf.float32)
    probabilities = signature(input_images=images)["probabilities"].numpy()
    chosen = probabilities[np.arange(len(probabilities)), transformed.indices["valid"]]
    history = json.loads((trained / "history.json").read_text())
    expected = history["epochs"][history["best_epoch"] - 1]
    assert -np.log(chosen).mean() == pytest.approx(expected["val_loss"], rel=1e-3)


def test_signatures_are_the_public_ones(trained: Path) -> None:
    import tensorflow as tf

    signatures = tf.saved_model.load(str(trained)).signatures
    given = {name: frozenset(s.structured_outputs) for name, s in signatures.items()}
    assert given == SIGNATURE_OUTPUTS
    outputs = signatures["serving_default"].structured_outputs
    assert {name: spec.dtype for name, spec in outputs.items()} == {
        "label": tf.string,
        "label_index": tf.int64,
        "probability": tf.float32,
        "probabilities": tf.float32,
    }
    assert outputs["probabilities"].shape.as_list() == [None, len(LABELS)]


def test_every_door_gives_the_same_answer(
    trained: Path, transformed: Transformed, tmp_path: Path
) -> None:
    import tensorflow as tf

    signatures = tf.saved_model.load(str(trained)).signatures
    images = png_bytes(transformed)
    files = [tmp_path / f"{number}.png" for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        file.write_bytes(image)
    image_bytes = tf.constant(images)
    keys = tf.constant([str(file) for file in files])
    records = [
        serialized_example({"image_bytes": i, "image_id": f"é{n}"}) for n, i in enumerate(images)
    ]
    answers = {
        "serving_default": signatures["serving_default"](image_bytes=image_bytes),
        "from_filenames": signatures["from_filenames"](filenames=keys),
        "from_examples": signatures["from_examples"](examples=tf.constant(records)),
        "with_key": signatures["with_key"](image_bytes=image_bytes, key=keys),
        "with_embedding": signatures["with_embedding"](image_bytes=image_bytes),
        "xai_model": signatures["xai_model"](
            **signatures["xai_preprocess"](image_bytes=image_bytes)
        ),
    }
    features = signatures["xai_features"](**signatures["xai_preprocess"](image_bytes=image_bytes))
    answers["xai_head"] = signatures["xai_head"](**features)
    expected = answers["serving_default"]
    assert (expected["label_index"].numpy() == transformed.indices["test"]).mean() > 0.9
    for answer in answers.values():
        assert np.array_equal(answer["probabilities"], expected["probabilities"])
    probabilities = expected["probabilities"].numpy()
    assert np.array_equal(expected["probability"], probabilities.max(1))
    assert np.array_equal(expected["label_index"], probabilities.argmax(1))
    named = [LABELS[index].encode() for index in expected["label_index"].numpy()]
    assert expected["label"].numpy().tolist() == named
    assert answers["with_key"]["key"].numpy().tolist() == keys.numpy().tolist()
    assert answers["from_filenames"]["filenames"].numpy().tolist() == keys.numpy().tolist()
    assert answers["from_examples"]["image_id"].numpy()[1].decode() == "é1"
    embedding = signatures["embedding"](image_bytes=image_bytes)["embedding"]
    assert embedding.shape == (24, 128)
    assert np.array_equal(answers["with_embedding"]["embedding"], embedding)


def test_gradients_reach_the_images(trained: Path) -> None:
    """Explanations need gradients, so no operation may round to integer pixels."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(trained))  # held, since its variables live with it
    signature = loaded.signatures["xai_model"]
    images = tf.random.stateless_uniform([2, SIZE, SIZE, 3], [1, 2], 0, 255)
    with tf.GradientTape() as tape:
        tape.watch(images)
        blue = signature(input_images=images)["probabilities"][:, 0]
    assert float(tf.reduce_max(tf.abs(tape.gradient(blue, images)))) > 0


def test_an_image_that_cannot_be_decoded_refuses_the_batch(
    trained: Path, transformed: Transformed
) -> None:
    import tensorflow as tf

    signature = tf.saved_model.load(str(trained)).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        signature(image_bytes=tf.constant([png_bytes(transformed)[0], b"no picture"]))


def test_it_loads_without_keras(trained: Path) -> None:
    program = (
        "import sys, tensorflow as tf\n"
        "sys.modules['keras'] = None\n"
        "loaded = tf.saved_model.load(sys.argv[1])\n"
        "png = tf.io.encode_png(tf.zeros([4, 4, 3], tf.uint8))\n"
        "print(loaded.signatures['serving_default'](tf.stack([png]))['label'].numpy())\n"
    )
    command = [sys.executable, "-c", program, str(trained)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert any(f"[b'{label}']" in result.stdout for label in LABELS)


def test_the_same_seed_gives_the_same_model(transformed: Transformed, tmp_path: Path) -> None:
    runs = [run_train(transformed, tmp_path / n, epochs=1, seed=3) for n in ("a", "b")]
    losses = [json.loads((run / "history.json").read_text())["epochs"][0]["loss"] for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_head_then_whole_network(transformed: Transformed, tmp_path: Path) -> None:
    """A weights file of one run starts the next, in two phases."""
    import keras

    from components.train.model.network import build_network
    from darkroom.artifacts.transformed import read_transform_graph

    graph = read_transform_graph(transformed.graph)
    settings = TrainSettings.model_validate(SMALL)
    backbone = build_network(settings, graph, "none").backbone
    weights = tmp_path / "backbone.weights.h5"
    backbone.save_weights(weights)
    model = run_train(transformed, tmp_path, weights=str(weights), epochs=1, fine_tune_epochs=1)
    history = json.loads((model / "history.json").read_text())
    assert [epoch["phase"] for epoch in history["epochs"]] == ["head", "fine_tune"]
    tuned = build_network(settings, graph, "none")
    tuned.model.load_weights(tmp_path / "checkpoints" / "best.weights.h5")
    pairs = list(zip(backbone.layers, tuned.backbone.layers, strict=True))
    convolution, norm = (
        [
            np.array_equal(b.get_weights()[0], t.get_weights()[0])
            for b, t in pairs
            if isinstance(b, kind)
        ]
        for kind in (keras.layers.Conv2D, keras.layers.BatchNormalization)
    )
    assert all(norm)
    if history["best_epoch"] == 2:
        assert not any(convolution)


def test_mirrored_trains_on_two_devices(transformed: Transformed, tmp_path: Path) -> None:
    """In a subprocess, since logical devices are made before TensorFlow's first use."""
    program = (
        "import sys, tensorflow as tf\n"
        "from pathlib import Path\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "two = [tf.config.LogicalDeviceConfiguration()] * 2\n"
        "tf.config.set_logical_device_configuration(cpu, two)\n"
        "tf.distribute.MirroredStrategy.__init__.__defaults__ = (['/cpu:0', '/cpu:1'], None)\n"
        "from components.train.settings import TrainSettings\n"
        "from components.train.train import train\n"
        "settings = TrainSettings(backbone='small_cnn', weights='none', epochs=3, batch_size=16,\n"
        "    strategy='mirrored')\n"
        "out = Path(sys.argv[3])\n"
        "best = train(Path(sys.argv[1]), Path(sys.argv[2]), settings,\n"
        "    model=out / 'model', checkpoints=out / 'checkpoints')\n"
        "print(tf.distribute.MirroredStrategy().num_replicas_in_sync, best['val_accuracy'])\n"
    )
    arguments = [str(transformed.records), str(transformed.graph), str(tmp_path)]
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    replicas, accuracy = result.stdout.split()
    assert int(replicas) == 2
    assert float(accuracy) > 0.5
    assert read_model(tmp_path / "model").labels == LABELS


def test_a_loss_that_is_no_number_stops_and_names_the_epoch(
    transformed: Transformed, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=r"not a number at .* of epoch 1: lower train.learning"):
        run_train(transformed, tmp_path, learning_rate=1e30, epochs=2)
    assert not (tmp_path / "model").exists()


def test_weights_that_do_not_fit_are_refused(
    transformed: Transformed, tmp_path: Path, mobilenet_weights: Path
) -> None:
    with pytest.raises(StepError, match=r"weights: .* does not fit small_cnn"):
        run_train(transformed, tmp_path, weights=str(mobilenet_weights))
    with pytest.raises(SettingsError, match=r"weights: the file .* does not exist"):
        run_train(transformed, tmp_path, weights=str(tmp_path / "none.h5"))


def test_an_image_too_small_for_the_backbone_is_refused(
    transformed: Transformed, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"MobileNetV2 takes images of at least 32x32"):
        run_train(transformed, tmp_path, backbone="MobileNetV2")
