"""The table of backbones, their weights and their scaling."""

import types
from pathlib import Path

import numpy as np
import pytest

from components.train.settings import TrainSettings
from darkroom.backbones.preprocess import scaling
from darkroom.backbones.registry import backbones, build_backbone, pooled
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow

KERAS_APPLICATIONS = sorted(name for name, each in backbones().items() if each.has_imagenet)
FROM_SCRATCH = sorted(name for name, each in backbones().items() if not each.has_imagenet)


def test_the_table_is_all_of_keras_applications() -> None:
    import keras

    networks = {name for name, value in vars(keras.applications).items() if callable(value)}
    assert set(KERAS_APPLICATIONS) == networks
    for name in KERAS_APPLICATIONS:
        held = getattr(keras.applications, str(backbones()[name].preprocessing))
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


@pytest.mark.parametrize("name", KERAS_APPLICATIONS)
def test_backbones_that_scale_within_are_known(name: str) -> None:
    """Standardized pixels would be scaled a second time in them, so the settings refuse it."""
    pixels = np.array([0.0, 127.5, 255.0], np.float32).reshape(1, 1, 1, 3)
    untouched = np.array_equal(scaling(name, [], [])(pixels.copy()), pixels)
    assert untouched == backbones()[name].scales_within
    settings = {"backbone": name, "standardize": True}
    if untouched:
        with pytest.raises(ValueError, match="which scales pixels itself"):
            TrainSettings.model_validate(settings)
    else:
        TrainSettings.model_validate(settings)


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
    with pytest.raises(ValueError, match="squeezenet has no imagenet weights"):
        TrainSettings(backbone="squeezenet")
    with pytest.raises(ValueError, match="did you mean 'lenet5'"):
        TrainSettings(backbone="lenet", weights="none")
    assert len(backbones()) == 45


@pytest.mark.parametrize("name", KERAS_APPLICATIONS)
def test_smallest_sides_are_those_that_keras_states(name: str) -> None:
    import keras

    side = backbones()[name].minimum_side
    with pytest.raises(ValueError, match=f"at least {side}x{side}"):
        getattr(keras.applications, name)(
            include_top=False, weights=None, input_shape=(side, side - 1, 3)
        )
    said = f"{name} takes images of at least {side}x{side} pixels, not of {side - 1}x{side}"
    with pytest.raises(SettingsError, match=said):
        build_backbone(name, (side - 1, side), None, "none")


@pytest.mark.parametrize("name", ["MobileNetV2", "Xception", "InceptionV3"])
def test_networks_of_keras_take_their_smallest_side(name: str) -> None:
    side = backbones()[name].minimum_side
    assert build_backbone(name, (side, side), None, "none").output_shape[0] is None


PARAMETERS = {"small_cnn": 93_920, "lenet5": 61_156, "linear": 0, "squeezenet": 722_496}
"""At 32x32: LeNet-5's 62,006 with a head for 10 labels, SqueezeNet 1.1's 1,235,496 for 1,000."""


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_networks_from_scratch_are_those_of_the_literature(name: str) -> None:
    backbone = build_backbone(name, (32, 32), None, "none")
    assert backbone.count_params() == PARAMETERS[name]
    assert backbone.name == name


@pytest.mark.parametrize("name", FROM_SCRATCH)
def test_every_network_from_scratch_gives_an_embedding(name: str) -> None:
    side = backbones()[name].minimum_side
    pixels = np.random.default_rng(0).normal(size=(2, side, side + 3, 3)).astype(np.float32)
    backbone = build_backbone(name, (side, side + 3), None, "none")
    embedding = np.asarray(pooled(backbone(pixels)))
    assert embedding.ndim == 2
    assert np.isfinite(embedding).all()
    assert not np.allclose(embedding[0], embedding[1])
    if side > 1:
        with pytest.raises(SettingsError, match=rf"{name} takes images of at least {side}x{side}"):
            build_backbone(name, (side + 3, side - 1), None, "none")


def test_linear_is_the_pixels() -> None:
    pixels = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype(np.float32)
    backbone = build_backbone("linear", (3, 4), None, "none")
    assert np.array_equal(backbone(pixels), pixels.reshape(2, -1))


_SMALLEST_OF_FAMILY = {
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
}
"""One network of each module of `keras.applications`; those of VGG19 are VGG16's."""


@pytest.mark.parametrize("name", sorted(_SMALLEST_OF_FAMILY))
def test_a_network_is_the_same_whatever_its_weights_are(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is trained from ImageNet weights is exported from a file of its own.

    Keras gives EfficientNetB0 to B7 one layer more beside ImageNet weights. Here none is
    downloaded, and none is loaded.
    """
    import keras
    from keras.src.utils import file_utils

    # Those with weights by image size warn of other sizes.
    side = 128 if name.startswith("MobileNet") else backbones()[name].minimum_side
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(tmp_path / "none"))
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "load_weights", lambda *_, **__: None)
        imagenet = build_backbone(name, (side, side), None, "imagenet")
    scratch = build_backbone(name, (side, side), None, "none")
    scratch.set_weights(imagenet.get_weights())
    pixels = np.random.default_rng(0).uniform(0, 255, (2, side, side, 3)).astype(np.float32)
    np.testing.assert_allclose(scratch(pixels), imagenet(pixels), rtol=1e-4, atol=1e-5)
