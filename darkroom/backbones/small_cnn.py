"""A small network for small images."""

from typing import Any

from darkroom.backbones.backbone import from_scratch


def small_cnn(image_size: tuple[int, int]) -> Any:
    """Three convolutions for images of some 8 to 64 pixels.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to a feature map float32 [N, h, w, 128].
    """
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
    return keras.Model(inputs, x, name="small_cnn")


BACKBONES = (from_scratch("small_cnn", small_cnn, minimum_side=1),)
