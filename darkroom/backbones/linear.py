"""The baseline that every network should beat."""

from typing import Any

from darkroom.backbones.backbone import from_scratch


def linear(image_size: tuple[int, int]) -> Any:
    """No network: the pixels themselves, so that the head is a multinomial logistic regression.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to float32 [N, H * W * 3].
    """
    import keras

    inputs = keras.Input((*image_size, 3))
    return keras.Model(inputs, keras.layers.Flatten()(inputs), name="linear")


BACKBONES = (from_scratch("linear", linear, minimum_side=1),)
