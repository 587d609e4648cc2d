"""Contrast, brightness and saturation, in one matrix product."""

from typing import Any

from components.train.augmentation.stateless_random import StatelessRandom

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey."""


def recolour(
    images: Any,
    draws: StatelessRandom,
    *,
    contrast: float = 0.0,
    brightness: float = 0.0,
    saturation: float = 0.0,
) -> Any:
    """Changes colours, by random factors for each image.

    All three changes are linear in a pixel's colour, so one product with a 3x3 matrix per image
    applies them, in a tenth of the time of Keras's three layers.

    Args:
        images: uint8 [N, H, W, 3].
        draws: The batch's random numbers.
        contrast: Largest change of the distance from the image's mean grey, 0 to 1.
        brightness: Largest change either way, as a fraction of white.
        saturation: Largest change of the distance from a pixel's grey, 0 to 1.

    Returns:
        uint8 [N, H, W, 3].
    """
    import tensorflow as tf

    _, height, width, _ = images.shape
    away = draws.uniform(1 - contrast, 1 + contrast)[:, tf.newaxis, tf.newaxis]
    vivid = draws.uniform(1 - saturation, 1 + saturation)[:, tf.newaxis, tf.newaxis]
    shift = draws.uniform(-brightness, brightness)[:, tf.newaxis, tf.newaxis] * 255
    to_grey = tf.constant(LUMINANCE)[:, tf.newaxis]
    colours = tf.reshape(tf.cast(images, tf.float32), [-1, height * width, 3])
    mean_grey = tf.reduce_mean(tf.matmul(colours, to_grey), axis=1, keepdims=True)
    matrix = away * (vivid * tf.eye(3) + (1 - vivid) * to_grey)
    changed = tf.matmul(colours, matrix) + ((1 - away) * mean_grey + shift)
    return rounded(tf.reshape(changed, [-1, height, width, 3]))


def rounded(images: Any) -> Any:
    """Rounds pixels of any number format to uint8."""
    import tensorflow as tf

    return tf.saturate_cast(images + 0.5, tf.uint8)
