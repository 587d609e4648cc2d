"""SqueezeNet 1.1 (Iandola et al., "SqueezeNet: AlexNet-level accuracy", 2016)."""

from typing import Any

from darkroom.backbones.backbone import from_scratch

STAGES = (
    ((16, 64), (16, 64)),
    ((32, 128), (32, 128)),
    ((48, 192), (48, 192), (64, 256), (64, 256)),
)
"""Filters of each fire module's squeeze and of each half of its expansion, by stage."""


def squeezenet(image_size: tuple[int, int]) -> Any:
    """SqueezeNet without its top.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to a feature map float32 [N, h, w, 512],
        with h and w a 16th of H and W.
    """
    import keras

    inputs = keras.Input((*image_size, 3))
    x = _convolution(inputs, 64, size=3, strides=2)
    for stage in STAGES:
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)
        for squeezed, expanded in stage:
            x = _fire(x, squeezed, expanded)
    return keras.Model(inputs, x, name="squeezenet")


def _fire(inputs: Any, squeezed: int, expanded: int) -> Any:
    import keras

    x = _convolution(inputs, squeezed, size=1)
    halves = [_convolution(x, expanded, size=size) for size in (1, 3)]
    return keras.layers.Concatenate()(halves)


def _convolution(inputs: Any, filters: int, size: int, strides: int = 1) -> Any:
    import keras

    # Without batch norm, the variance of activations hangs on the initial weights.
    return keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_uniform",
    )(inputs)


BACKBONES = (from_scratch("squeezenet", squeezenet, minimum_side=16),)
