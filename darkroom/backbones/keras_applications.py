"""The networks of `keras.applications`."""

import functools
import math
import traceback
from pathlib import Path
from typing import Any

from darkroom.backbones.backbone import Backbone
from darkroom.backbones.weights import IMAGENET, one_line
from darkroom.errors import StepError

_MODULES = {
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

_SCALE_WITHIN = frozenset({"convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"})
"""Modules whose networks take pixels 0 to 255 and hold layers that scale them."""
_WITH_ALPHA = frozenset({"MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"})
_MINIMUM_SIDE = {"inception_resnet_v2": 75, "inception_v3": 75, "xception": 71}
"""Pixels of the smallest side by module, where it is not 32."""


_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's pixels by channel, over 255."""


def keras_application(
    name: str, image_size: tuple[int, int], alpha: float | None, imagenet: bool
) -> Any:
    """Builds a network of `keras.applications`, with its ImageNet weights or random ones.

    Raises:
        StepError: Keras refuses the arguments, or cannot download the weights.
    """
    import keras

    options: dict[str, Any] = {} if alpha is None else {"alpha": alpha}
    try:
        network = getattr(keras.applications, name)(
            include_top=False,
            weights=IMAGENET if imagenet else None,
            input_shape=(*image_size, 3),
            **options,
        )
        is_incomplete = _MODULES[name] == "efficientnet" and not imagenet
        return _as_with_imagenet(network) if is_incomplete else network
    except ValueError as error:
        raise StepError(f"{name}: {one_line(error)}") from None
    except Exception as error:
        # `get_file` raises a bare Exception.
        if not imagenet:
            raise
        raise StepError(
            f"cannot download the imagenet weights of {name} ({one_line(error)}): put the file "
            f"at {_target(error)}, or give its path as weights"
        ) from None


def _as_with_imagenet(network: Any) -> Any:
    """An EfficientNet with the layer that Keras gives it only beside its ImageNet weights.

    The network must not depend on where its weights come from: a file may hold ImageNet's, and an
    export loads what was trained.
    """
    import keras

    scale = [1 / math.sqrt(deviation) for deviation in _IMAGENET_DEVIATION]
    rescaling = keras.layers.Rescaling(scale)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        output = layer(*arguments, **options)
        return rescaling(output) if isinstance(layer, keras.layers.Normalization) else output

    return keras.models.clone_model(network, clone_function=_itself, call_function=call)


def _itself(layer: Any) -> Any:
    return layer


def _target(error: Exception) -> Path:
    """Where Keras looks for a file before it downloads it."""
    import keras

    # Neither the error nor any function of Keras says it, only the call that failed.
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is keras.utils.get_file.__code__:
            return Path(frame.f_locals["download_target"])
    return Path("~/.keras/models").expanduser()


BACKBONES = tuple(
    Backbone(
        name,
        functools.partial(keras_application, name),
        minimum_side=_MINIMUM_SIDE.get(module, 32),
        preprocessing=module,
        scales_within=module in _SCALE_WITHIN,
        takes_alpha=name in _WITH_ALPHA,
        has_imagenet=True,
    )
    for name, module in _MODULES.items()
)
