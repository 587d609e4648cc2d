"""LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

from typing import Any

from darkroom.backbones.backbone import from_scratch


def lenet5(image_size: tuple[int, int]) -> Any:
    """LeNet-5 up to its last hidden layer, which the head makes whole: 32x32 is its own size.

    As it is compared with today: average pooling without weights, every map of the second
    convolution sees all of the first, and a softmax in place of radial basis functions.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to an embedding float32 [N, 84].
    """
    import keras

    inputs = keras.Input((*image_size, 3))
    x = inputs
    for filters in (6, 16):
        x = keras.layers.Conv2D(filters, 5, activation="tanh")(x)
        x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Flatten()(x)
    for units in (120, 84):
        x = keras.layers.Dense(units, "tanh")(x)
    return keras.Model(inputs, x, name="lenet5")


BACKBONES = (from_scratch("lenet5", lenet5, minimum_side=16),)
