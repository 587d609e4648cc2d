"""The network: a head on every kind of backbone, and no augmentation in the exported model."""

import collections
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.model.network import build_network
from components.train.settings import TrainSettings
from components.train.tests.conftest import LABELS, SIZE, Transformed
from components.train.train import train
from darkroom.artifacts.transformed import TransformGraph

pytestmark = pytest.mark.slow

AUGMENTATION = {
    "flip": True,
    "rotation": 0.1,
    "contrast": 0.2,
    "rand_augment": 1,
    "cutout": 0.2,
    "mixup": 0.2,
}


def graph(size: int, labels: int) -> TransformGraph:
    names = tuple(str(number) for number in range(labels))
    return TransformGraph(Path(), names, (size, size), (100.0,) * 3, (2500.0,) * 3)


def network(backbone: str, size: int, labels: int = 10) -> Any:
    settings = TrainSettings(backbone=backbone, weights="none")
    return build_network(settings, graph(size, labels), "none")


def test_resnet34_has_the_parameters_of_the_literature() -> None:
    model = network("resnet34", 224).model
    fixed = sum(int(np.prod(weight.shape)) for weight in model.non_trainable_weights)
    assert (model.count_params(), fixed) == (21_306_826, 17_024)


@pytest.mark.parametrize(
    ("backbone", "parameters", "embedding"),
    [
        ("lenet5", 62_006, 84),
        ("linear", 32 * 32 * 3 * 10 + 10, 32 * 32 * 3),
        ("squeezenet", 722_496 + 512 * 10 + 10, 512),
    ],
)
def test_a_head_on_maps_and_on_embeddings(backbone: str, parameters: int, embedding: int) -> None:
    built = network(backbone, 32)
    assert built.model.count_params() == parameters
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    vectors, probabilities = built.embedding(pixels)
    assert vectors.shape == (2, embedding)
    assert np.asarray(probabilities).sum(1) == pytest.approx(1)
    # Nothing is random in it, even as it trains.
    assert np.array_equal(built.model(pixels, training=False), probabilities)


def test_a_hidden_layer_is_part_of_the_head() -> None:
    settings = TrainSettings(backbone="lenet5", weights="none", head_width=16, l2=0.01)
    built = build_network(settings, graph(32, 10), "none")
    assert built.model.count_params() == 62_006 - 85 * 10 + 85 * 16 + 17 * 10
    assert len(built.model.losses) == 2
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    assert built.embedding(pixels)[0].shape == (2, 84)


OWN = """
import keras

def tiny(image_size):
    inputs = keras.Input((*image_size, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Flatten()(x))
"""


def run_train(transformed: Transformed, out: Path, **settings: Any) -> Path:
    defaults = {"weights": "none", "epochs": 1, "batch_size": 16}
    train(
        transformed.records,
        transformed.graph,
        TrainSettings.model_validate(defaults | settings),
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    return out / "model"


def operations(model: Path) -> collections.Counter[str]:
    """Operations of a SavedModel, in its graph and in all its functions."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((model / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    functions = [node for function in meta.graph_def.library.function for node in function.node_def]
    return collections.Counter(node.op for node in [*meta.graph_def.node, *functions])


def test_the_export_holds_nothing_of_the_augmentation(
    transformed: Transformed, tmp_path: Path
) -> None:
    augmented = run_train(transformed, tmp_path / "a", backbone="linear", augmentation=AUGMENTATION)
    plain = run_train(transformed, tmp_path / "b", backbone="linear")
    assert operations(augmented) == operations(plain)
    assert not [name for name in operations(plain) if "Random" in name or "Projective" in name]


def test_a_users_own_backbone_is_trained_and_exported(
    transformed: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    (tmp_path / "photographers_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    model = run_train(transformed, tmp_path, backbone="photographers_nets:tiny", epochs=2)
    loaded = tf.saved_model.load(str(model))
    pictures = tf.stack([tf.io.encode_png(image) for image in transformed.pixels["test"]])
    vectors = loaded.signatures["embedding"](image_bytes=pictures)["embedding"]
    assert vectors.shape == (len(pictures), (SIZE - 2) ** 2 * 4)
    answer = loaded.signatures["serving_default"](image_bytes=pictures)
    assert answer["probabilities"].shape == (len(pictures), len(LABELS))
