"""ResNet-34 (He et al., "Deep residual learning for image recognition", 2015)."""

from typing import Any

from darkroom.backbones.backbone import from_scratch

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Filters and residual units of each stage."""


def resnet34(image_size: tuple[int, int]) -> Any:
    """ResNet-34 without its top.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to a feature map float32 [N, h, w, 512],
        with h and w a 32nd of H and W.
    """
    import keras

    inputs = keras.Input((*image_size, 3))
    x = keras.layers.ReLU()(_convolution(inputs, 64, size=7, strides=2))
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for filters, units in STAGES:
        for unit in range(units):
            x = _residual_unit(x, filters, strides=2 if unit == 0 and filters > 64 else 1)
    return keras.Model(inputs, x, name="resnet34")


def _residual_unit(inputs: Any, filters: int, strides: int) -> Any:
    import keras

    x = keras.layers.ReLU()(_convolution(inputs, filters, size=3, strides=strides))
    x = _convolution(x, filters, size=3, strides=1)
    # The way past is a convolution only where the shape changes.
    past = _convolution(inputs, filters, size=1, strides=strides) if strides > 1 else inputs
    return keras.layers.ReLU()(x + past)


def _convolution(inputs: Any, filters: int, size: int, strides: int) -> Any:
    """A convolution and its batch norm, which makes a bias idle."""
    import keras

    x = keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(inputs)
    # Keras's default momentum, 0.99, trails behind in a run of few steps.
    return keras.layers.BatchNormalization(momentum=0.9)(x)


BACKBONES = (from_scratch("resnet34", resnet34, minimum_side=32),)
