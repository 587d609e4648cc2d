"""RandAugment (Cubuk et al., 2019): a few changes chosen at random from a list."""

from collections.abc import Callable
from typing import Any

from components.train.augmentation.colour import recolour, rounded
from components.train.augmentation.geometry import warp
from components.train.augmentation.stateless_random import StatelessRandom

Change = Callable[[Any, StatelessRandom], Any]


def apply_rand_augment(
    images: Any, draws: StatelessRandom, operations: int, magnitude: float
) -> Any:
    """Applies changes chosen for the batch, with a random strength for each image.

    Only the chosen changes are computed. `keras.layers.RandAugment` computes all of its changes for
    each one that it chooses, and takes ten times as long; it also rotates and shifts in one
    direction only, equalizes over the batch, and posterizes less for a higher factor.

    Args:
        images: uint8 [N, H, W, 3].
        draws: The batch's random numbers.
        operations: Number of changes; the same one may be chosen again.
        magnitude: Strength of the strongest change; 1 is 30 in the paper's count.

    Returns:
        uint8 [N, H, W, 3].
    """
    import tensorflow as tf

    def branch(change: Change, images: Any) -> Callable[[], Any]:
        return lambda: tf.ensure_shape(change(images, draws), images.shape)

    for _ in range(operations):
        branches = [branch(change, images) for change in _changes(magnitude)]
        images = tf.switch_case(draws.one_of(len(branches)), branches)
    return images


def _changes(magnitude: float) -> list[Change]:
    """The paper's changes; at `magnitude` 1 with the paper's largest strengths."""
    return [
        lambda images, draws: images,  # noqa: ARG005
        lambda images, draws: warp(images, draws, rotation=magnitude * 30 / 360),
        lambda images, draws: warp(images, draws, translation=magnitude * 0.33),
        lambda images, draws: warp(images, draws, shear=magnitude * 0.3),
        lambda images, draws: recolour(images, draws, contrast=magnitude * 0.9),
        lambda images, draws: recolour(images, draws, brightness=magnitude * 0.5),
        lambda images, draws: recolour(images, draws, saturation=magnitude * 0.9),
        lambda images, draws: _sharpen(images, draws, magnitude * 0.9),
        lambda images, draws: _posterize(images, draws, magnitude * 4),
        lambda images, draws: _solarize(images, draws, magnitude),
        lambda images, draws: _stretch_contrast(images),  # noqa: ARG005
        lambda images, draws: _equalize(images),  # noqa: ARG005
    ]


def _sharpen(images: Any, draws: StatelessRandom, strength: float) -> Any:
    """Sharpens or blurs: moves pixels away from a 3x3 average, or towards it."""
    import tensorflow as tf

    pixels = tf.cast(images, tf.float32)
    average = [[1 / 13] * 3, [1 / 13, 5 / 13, 1 / 13], [1 / 13] * 3]
    kernel = tf.tile(tf.constant(average)[:, :, tf.newaxis, tf.newaxis], [1, 1, 3, 1])
    padded = tf.pad(pixels, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    blurred = tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")
    return rounded(pixels + _each(draws.uniform(-strength, strength)) * (pixels - blurred))


def _posterize(images: Any, draws: StatelessRandom, bits: float) -> Any:
    """Clears up to `bits` of each pixel's lowest bits."""
    import tensorflow as tf

    dropped = tf.cast(tf.round(draws.uniform(0, bits)), tf.uint8)
    kept = tf.bitwise.left_shift(tf.constant(255, tf.uint8), dropped)
    return tf.bitwise.bitwise_and(images, _each(kept))


def _solarize(images: Any, draws: StatelessRandom, magnitude: float) -> Any:
    """Inverts pixels over a random threshold between white and 1 - `magnitude`."""
    import tensorflow as tf

    threshold = _each(rounded(255 * draws.uniform(1 - magnitude, 1)))
    return tf.where(images > threshold, 255 - images, images)


def _stretch_contrast(images: Any) -> Any:
    """Stretches each channel of each image from black to white."""
    import tensorflow as tf

    low = tf.cast(tf.reduce_min(images, axis=[1, 2], keepdims=True), tf.float32)
    high = tf.cast(tf.reduce_max(images, axis=[1, 2], keepdims=True), tf.float32)
    stretch = tf.where(high > low, 255 / tf.maximum(high - low, 1), 1.0)
    black = tf.where(high > low, low, 0.0)
    return rounded((tf.cast(images, tf.float32) - black) * stretch)


def _equalize(images: Any) -> Any:
    """Makes all tones of each channel of each image equally frequent."""
    import tensorflow as tf

    _, height, width, _ = images.shape
    channels = tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [-1, height * width])
    tones = tf.cast(channels, tf.int32)
    frequency = tf.math.bincount(tones, minlength=256, maxlength=256, axis=-1)
    at_most = tf.cast(tf.cumsum(frequency, axis=1), tf.float32)
    least = tf.reduce_min(tf.where(at_most > 0, at_most, float(height * width)), 1, keepdims=True)
    equal = rounded(255 * (at_most - least) / tf.maximum(height * width - least, 1))
    flat = tf.where(tf.math.count_nonzero(frequency, axis=1, keepdims=True) > 1, equal, _tones())
    changed = tf.reshape(tf.gather(flat, tones, batch_dims=1), [-1, 3, height, width])
    return tf.transpose(changed, [0, 2, 3, 1])


def _tones() -> Any:
    import tensorflow as tf

    return tf.cast(tf.range(256), tf.uint8)


def _each(values: Any) -> Any:
    """Reshapes one value per image, [N], to [N, 1, 1, 1]."""
    import tensorflow as tf

    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]
