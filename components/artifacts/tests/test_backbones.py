"""The table of backbones, their weights and their scaling."""

import types
from pathlib import Path

import numpy as np
import pytest

from components.artifacts.backbones import (
    KERAS_APPLICATIONS,
    NAMES,
    build_backbone,
    scales_within,
    scaling,
)
from components.train.settings import TrainSettings


def test_the_table_is_all_of_keras_applications() -> None:
    import keras

    networks = {name for name, value in vars(keras.applications).items() if callable(value)}
    assert set(KERAS_APPLICATIONS) == networks
    for name, module in KERAS_APPLICATIONS.items():
        held = getattr(keras.applications, module)
        assert isinstance(held, types.ModuleType)
        assert callable(held.preprocess_input), name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MobileNetV2", [-1.0, 0.0, 1.0]),
        ("EfficientNetB0", [0.0, 127.5, 255.0]),
        ("VGG16", [0 - 103.939, 127.5 - 116.779, 255 - 123.68]),
        ("DenseNet121", [(0 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
        ("small_cnn", [(0 - 100) / 50, (127.5 - 100) / 50, (255 - 100) / 50]),
    ],
)
def test_scaling_is_the_backbones_own(name: str, expected: list[float]) -> None:
    import keras

    pixels = keras.Input((1, 1, 3))
    scaled = scaling(name, [100.0] * 3, [2500.0] * 3)(pixels)
    model = keras.Model(pixels, scaled)
    # Caffe's networks take blue first.
    values = [255.0, 127.5, 0.0] if name == "VGG16" else [0.0, 127.5, 255.0]
    result = model(np.array(values, np.float32).reshape(1, 1, 1, 3))
    assert np.asarray(result).ravel() == pytest.approx(expected, abs=1e-3)


def test_any_backbone_can_go_by_the_photographs_own_moments() -> None:
    scale = scaling("MobileNetV2", [100.0] * 3, [2500.0] * 3, standardize=True)
    scaled = scale(np.full((1, 1, 1, 3), 150.0, np.float32))
    assert np.asarray(scaled).ravel() == pytest.approx([1.0] * 3)


@pytest.mark.parametrize("name", sorted(KERAS_APPLICATIONS))
def test_backbones_that_scale_within_are_known(name: str) -> None:
    """Standardized pixels would be scaled a second time in them, so the settings refuse it."""
    pixels = np.array([0.0, 127.5, 255.0], np.float32).reshape(1, 1, 1, 3)
    untouched = np.array_equal(scaling(name, [], [])(pixels.copy()), pixels)
    assert untouched == scales_within(name)
    settings = {"backbone": name, "standardize": True}
    if untouched:
        with pytest.raises(ValueError, match="which scales pixels itself"):
            TrainSettings.model_validate(settings)
    else:
        TrainSettings.model_validate(settings)


def test_published_weights_load(mobilenet_weights: Path) -> None:
    backbone = build_backbone("MobileNetV2", (96, 96), 0.35, str(mobilenet_weights))
    assert backbone.count_params() == 410_208
    (kernel, *_) = backbone.layers[1].get_weights()
    assert kernel.shape == (3, 3, 3, 16)
    assert np.abs(kernel).max() > 0.3  # random weights of this layer stay below


def test_names_are_checked_before_anything_is_imported() -> None:
    with pytest.raises(ValueError, match="did you mean 'MobileNetV2'"):
        TrainSettings(backbone="MobilNetV2")
    with pytest.raises(ValueError, match="alpha is for"):
        TrainSettings(backbone="VGG16", alpha=0.5)
    with pytest.raises(ValueError, match="small_cnn has no imagenet weights"):
        TrainSettings(backbone="small_cnn")
    assert (
        TrainSettings.model_validate({"backbone": "small_cnn", "weights": None}).weights == "none"
    )
    assert len(NAMES) == len(set(NAMES)) == 41
