"""Small networks for small images, and the baseline that every network should beat."""

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


def linear(image_size: tuple[int, int]) -> Any:
    """No network: the pixels themselves, so that the head is a multinomial logistic regression.

    Returns:
        A keras.Model from scaled float32 [N, H, W, 3] to float32 [N, H * W * 3].
    """
    import keras

    inputs = keras.Input((*image_size, 3))
    return keras.Model(inputs, keras.layers.Flatten()(inputs), name="linear")


def lenet5(image_size: tuple[int, int]) -> Any:
    """LeNet-5 up to its last hidden layer, which the head completes; made for 32x32 pixels.

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


BACKBONES = (
    from_scratch("small_cnn", small_cnn, minimum_side=1),
    from_scratch("linear", linear, minimum_side=1),
    from_scratch("lenet5", lenet5, minimum_side=16),
)
