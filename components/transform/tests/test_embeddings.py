"""Embeddings in place of pixels: those of the frozen backbone, on the graph's own pixels."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.transform.settings import TransformSettings
from components.transform.tests.conftest import COUNTS, LABELS, Transformed, pictures, stored
from darkroom.artifacts.transformed import (
    Embeddings,
    read_transform_graph,
    read_transformed_examples,
)
from darkroom.backbones.registry import build_backbone
from darkroom.errors import SettingsError, StepError
from darkroom.records.shards import list_shards
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow

SIZE = 32


@pytest.fixture(scope="module")
def backbone() -> Any:
    """A random network, its batch norm set so that different images differ behind it."""
    import keras

    keras.utils.set_random_seed(1)
    network = build_backbone("MobileNetV2", (SIZE, SIZE), 0.35, "none")
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(keras.random.uniform((64, SIZE, SIZE, 3), -1, 1, seed=1), training=True)
    return network


@pytest.fixture(scope="module")
def weights(backbone: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    backbone.save_weights(file)
    return file


@pytest.fixture(scope="module")
def embedded(run_transform: Callable[..., Transformed], weights: Path) -> Transformed:
    return run_transform(image_size=SIZE, embeddings=section(weights))


def section(weights: Path) -> dict[str, Any]:
    return {"backbone": "MobileNetV2", "alpha": 0.35, "weights": str(weights)}


@pytest.fixture(scope="module")
def in_pixels(run_transform: Callable[..., Transformed]) -> Transformed:
    return run_transform(image_size=SIZE)


def stored_embeddings(records: Path, split: str) -> npt.NDArray[np.float16]:
    return np.stack([np.frombuffer(r["embedding"][0], "<f2") for r in stored(records, split)])


@pytest.mark.parametrize("split", COUNTS)
def test_records_hold_the_backbones_embeddings(
    embedded: Transformed, in_pixels: Transformed, backbone: Any, split: str
) -> None:
    """Keras's own convention and average, over the pixels that the other mode writes."""
    import keras

    pixels = [np.frombuffer(r["image"][0], np.uint8) for r in stored(in_pixels[1], split)]
    images = np.stack(pixels).reshape(-1, SIZE, SIZE, 3).astype(np.float32)
    scaled = keras.applications.mobilenet_v2.preprocess_input(images)
    expected = np.asarray(backbone(scaled, training=False)).mean((1, 2))
    given = stored_embeddings(embedded[1], split)
    assert given.shape == (COUNTS[split], 1280)
    assert np.abs(given - expected).max() < 1e-3 * np.ptp(expected, axis=0).max()
    indices = [record["label_index"][0] for record in stored(embedded[1], split)]
    assert indices == [LABELS.index(label) for label, _ in pictures(split)]
    assert "image" not in stored(embedded[1], split)[0]


def test_the_manifest_states_whose_embeddings_they_are(
    embedded: Transformed, in_pixels: Transformed, weights: Path
) -> None:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    source = read_transformed_examples(embedded[1])
    assert source.embeddings == Embeddings("MobileNetV2", 0.35, digest, 1280)
    assert source.counts == COUNTS
    assert read_transformed_examples(in_pixels[1]).embeddings is None


def test_the_graph_is_the_same_as_ever(embedded: Transformed, in_pixels: Transformed) -> None:
    import tensorflow as tf

    graphs = [read_transform_graph(folder) for folder, _ in (embedded, in_pixels)]
    assert graphs[0].pixel_mean == graphs[1].pixel_mean
    assert graphs[0].pixel_variance == graphs[1].pixel_variance
    inputs = {
        "image_bytes": [tf.io.encode_png(pixels).numpy() for _, pixels in pictures("test")],
        "label": ["dog"] * COUNTS["test"],
    }
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    given = []
    for graph in graphs:
        function = tf.saved_model.load(str(graph.function_folder)).transform_fn
        given.append({name: value.numpy().tolist() for name, value in function(tensors).items()})
    assert given[0] == given[1]


def test_embeddings_are_smaller_than_the_pixels(
    embedded: Transformed, in_pixels: Transformed
) -> None:
    sizes = [
        sum(shard.size for shard in list_shards(str(records), "train"))
        for _, records in (embedded, in_pixels)
    ]
    assert sizes[0] < sizes[1]


def test_weights_that_are_missing_or_do_not_fit_are_named(
    run_transform: Callable[..., Transformed], weights: Path, tmp_path: Path
) -> None:
    missing = section(tmp_path / "none.h5")
    with pytest.raises(SettingsError, match=r"weights file .*none\.h5: No such file"):
        run_transform(image_size=SIZE, embeddings=missing)
    wider = section(weights) | {"alpha": 0.5}
    with pytest.raises(StepError, match=r"^weights: .* does not fit MobileNetV2") as raised:
        run_transform(image_size=SIZE, embeddings=wider)
    assert "\n" not in str(raised.value)


def test_an_image_too_small_for_the_backbone_is_refused(
    run_transform: Callable[..., Transformed], weights: Path
) -> None:
    with pytest.raises(StepError, match=r"^MobileNetV2 .*32x32"):
        run_transform(image_size=16, embeddings=section(weights))


def test_embeddings_that_are_no_numbers_are_refused(
    run_transform: Callable[..., Transformed], backbone: Any, tmp_path: Path
) -> None:
    """As of a weights file whose values are too large, or damaged."""
    import keras

    damaged = keras.models.clone_model(backbone)
    damaged.set_weights([np.full_like(value, np.nan) for value in backbone.get_weights()])
    damaged.save_weights(tmp_path / "damaged.weights.h5")
    with pytest.raises(StepError, match=r"not finite in float16: check transform\.embeddings"):
        run_transform(image_size=SIZE, embeddings=section(tmp_path / "damaged.weights.h5"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"embeddings": {"backbone": "small_cnn"}},
            "transform.embeddings.backbone': embeddings are for",
        ),
        ({"embeddings": {"backbone": "MobilNetV2"}}, "; did you mean 'MobileNetV2'"),
        ({"embeddings": {"backbone": "VGG16", "alpha": 0.5}}, "alpha is for MobileNet"),
        ({"embeddings": {"weights": "none"}}, "embeddings of random weights teach nothing"),
        ({"embeddings": {"weight": "x"}}, "'transform.embeddings.weight'; did you mean 'weights'"),
        ({"embeddings": {}, "crop_margin": 0.1}, "crop_margin is not for embeddings"),
    ],
)
def test_what_embeddings_cannot_be_made_with(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        validate_settings(TransformSettings, values, "transform")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
