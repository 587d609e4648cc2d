"""The backbones by name: every `keras.applications` network, and a small one for small images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.artifacts.errors import SettingsError, StepError

SMALL_CNN = "small_cnn"
IMAGENET = "imagenet"
RANDOM = "none"

KERAS_APPLICATIONS = {
    "ConvNeXtBase": "convnext",
    "ConvNeXtLarge": "convnext",
    "ConvNeXtSmall": "convnext",
    "ConvNeXtTiny": "convnext",
    "ConvNeXtXLarge": "convnext",
    "DenseNet121": "densenet",
    "DenseNet169": "densenet",
    "DenseNet201": "densenet",
    "EfficientNetB0": "efficientnet",
    "EfficientNetB1": "efficientnet",
    "EfficientNetB2": "efficientnet",
    "EfficientNetB3": "efficientnet",
    "EfficientNetB4": "efficientnet",
    "EfficientNetB5": "efficientnet",
    "EfficientNetB6": "efficientnet",
    "EfficientNetB7": "efficientnet",
    "EfficientNetV2B0": "efficientnet_v2",
    "EfficientNetV2B1": "efficientnet_v2",
    "EfficientNetV2B2": "efficientnet_v2",
    "EfficientNetV2B3": "efficientnet_v2",
    "EfficientNetV2L": "efficientnet_v2",
    "EfficientNetV2M": "efficientnet_v2",
    "EfficientNetV2S": "efficientnet_v2",
    "InceptionResNetV2": "inception_resnet_v2",
    "InceptionV3": "inception_v3",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2",
    "MobileNetV3Large": "mobilenet_v3",
    "MobileNetV3Small": "mobilenet_v3",
    "NASNetLarge": "nasnet",
    "NASNetMobile": "nasnet",
    "ResNet50": "resnet",
    "ResNet101": "resnet",
    "ResNet152": "resnet",
    "ResNet50V2": "resnet_v2",
    "ResNet101V2": "resnet_v2",
    "ResNet152V2": "resnet_v2",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "Xception": "xception",
}
"""Module of `keras.applications` by network; the module holds its `preprocess_input`."""

NAMES = (SMALL_CNN, *KERAS_APPLICATIONS)
SCALE_WITHIN = frozenset({"convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"})
"""Modules whose networks take pixels 0 to 255 and hold layers that scale them."""
WITH_ALPHA = frozenset({"MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"})


def scales_within(name: str) -> bool:
    """Whether a backbone's own first layers scale its pixels."""
    return KERAS_APPLICATIONS.get(name) in SCALE_WITHIN


def build_backbone(
    name: str, image_size: tuple[int, int], alpha: float | None, weights: str
) -> Any:
    """Builds a network without its top.

    Args:
        name: One of `NAMES`.
        image_size: Height and width in pixels.
        alpha: Width multiplier, for the MobileNets.
        weights: `imagenet`, a path to a weights file, or `none` for random ones.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to a feature map float32 [N, h, w, D].

    Raises:
        SettingsError: The weights file does not exist.
        StepError: The image is too small for the network, or the weights do not fit it.
    """
    if name == SMALL_CNN:
        backbone = _small_cnn(image_size)
    else:
        backbone = _keras_application(name, image_size, alpha, weights == IMAGENET)
    if weights not in (RANDOM, IMAGENET):
        _load_weights(backbone, name, Path(weights))
    return backbone


def scaling(
    name: str,
    pixel_mean: Sequence[float],
    pixel_variance: Sequence[float],
    standardize: bool = False,
) -> Callable[[Any], Any]:
    """How a backbone wants its pixels scaled: the one place that knows.

    Args:
        name: One of `NAMES`.
        pixel_mean: Mean of the dataset's pixels by channel, 0 to 255.
        pixel_variance: Their variance.
        standardize: Whether to go by these two, as `small_cnn` always does.

    Returns:
        A function from pixels 0 to 255, float32 [N, H, W, 3], to what the backbone takes: mean 0
        and variance 1 over the dataset, or else the convention of its `preprocess_input`.
    """
    import keras

    if standardize or name == SMALL_CNN:
        # A dataset of one grey tone has no variance to divide by.
        variance = [max(value, 1.0) for value in pixel_variance]
        normalize: Callable[[Any], Any] = keras.layers.Normalization(
            mean=list(pixel_mean), variance=variance
        )
        return normalize
    module = getattr(keras.applications, KERAS_APPLICATIONS[name])
    preprocess_input: Callable[[Any], Any] = module.preprocess_input
    return preprocess_input


def _small_cnn(image_size: tuple[int, int]) -> Any:
    """Three convolutions for images of some 8 to 64 pixels."""
    import keras

    inputs = keras.Input((*image_size, 3))
    x = inputs
    for filters in (32, 64, 128):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        # Keras's default momentum, 0.99, trails behind in a run of few steps.
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU()(x)
        if min(x.shape[1:3]) >= 4:
            x = keras.layers.MaxPooling2D()(x)
    return keras.Model(inputs, x, name=SMALL_CNN)


def _keras_application(
    name: str, image_size: tuple[int, int], alpha: float | None, imagenet: bool
) -> Any:
    import keras

    options: dict[str, Any] = {} if alpha is None else {"alpha": alpha}
    try:
        return getattr(keras.applications, name)(
            include_top=False,
            weights=IMAGENET if imagenet else None,
            input_shape=(*image_size, 3),
            **options,
        )
    except ValueError as error:
        raise StepError(f"train.backbone {name}: {_one_line(error)}") from None
    except Exception as error:
        if not imagenet:
            raise
        raise StepError(
            f"cannot download the imagenet weights of {name} ({_one_line(error)}): put the file "
            f"into {Path.home() / '.keras' / 'models'}, or give its path as train.weights"
        ) from None


def _load_weights(backbone: Any, name: str, path: Path) -> None:
    if not path.is_file():
        raise SettingsError(f"train.weights: the file {path} does not exist")
    try:
        backbone.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise StepError(
            f"train.weights: {path} does not fit {name} without its top "
            f"(is train.alpha the file's?): {_one_line(error)}"
        ) from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
