"""Flip, rotation, translation, zoom, crop and shear, in one resampling."""

import math
from typing import Any

from components.train.augmentation.stateless_random import StatelessRandom


def warp(
    images: Any,
    draws: StatelessRandom,
    *,
    flip: bool = False,
    rotation: float = 0.0,
    translation: float = 0.0,
    zoom: float = 0.0,
    crop: float = 0.0,
    shear: float = 0.0,
) -> Any:
    """Moves pixels; beyond the edges the image is mirrored.

    One resampling in uint8 takes a quarter of the time of Keras's three layers, and blurs once.

    Args:
        images: uint8 [N, H, W, 3].
        draws: The batch's random numbers.
        flip: Whether to mirror left and right, with probability 0.5.
        rotation: Largest rotation either way, as a fraction of a full turn.
        translation: Largest shift either way along each axis, as a fraction of the side.
        zoom: Largest zoom in or out, as a fraction of the side.
        crop: Largest fraction of the side that is removed, at a random position.
        shear: Largest shift of a pixel either way, as a fraction of its height over the centre.

    Returns:
        uint8 [N, H, W, 3].
    """
    import keras
    import tensorflow as tf

    _, height, width, _ = images.shape
    side = 1.0 - 2.0 * tf.cast(draws.half(), tf.float32) if flip else 1.0
    if not (rotation or translation or zoom or crop or shear):
        return _mirrored(images, side < 0) if flip else images
    angle = draws.uniform(-rotation, rotation) * 2 * math.pi
    scale = 1.0 + draws.uniform(-zoom, zoom)
    slant = draws.uniform(-shear, shear)
    # Source position of each pixel of the result, relative to the centre: shear, then rotation.
    right_to_x, down_to_x = tf.cos(angle), tf.cos(angle) * slant - tf.sin(angle)
    right_to_y, down_to_y = tf.sin(angle), tf.sin(angle) * slant + tf.cos(angle)
    a0, a1 = scale * side * right_to_x, scale * down_to_x
    b0, b1 = scale * side * right_to_y, scale * down_to_y
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    a2 = centre_x * (1 - a0) - centre_y * a1 + width * draws.uniform(-translation, translation)
    b2 = centre_y * (1 - b1) - centre_x * b0 + height * draws.uniform(-translation, translation)
    if crop:
        left_out = draws.uniform(0.0, crop)
        # The crop is applied to the result of the other changes.
        x = (width - 1) * left_out * draws.uniform()
        y = (height - 1) * left_out * draws.uniform()
        a2, b2 = a2 + a0 * x + a1 * y, b2 + b0 * x + b1 * y
        a0, a1, b0, b1 = (part * (1 - left_out) for part in (a0, a1, b0, b1))
    none = tf.zeros_like(a0)
    matrix = tf.stack([a0, a1, a2, b0, b1, b2, none, none], axis=1)
    return keras.ops.image.affine_transform(images, matrix, "bilinear", "reflect")


def _mirrored(images: Any, chosen: Any) -> Any:
    """Mirrors the chosen images; copying complete images is faster than selecting pixels."""
    import tensorflow as tf

    count = tf.shape(images)[0]
    both = tf.concat([images, tf.reverse(images, [2])], axis=0)
    return tf.gather(both, tf.range(count) + count * tf.cast(chosen, tf.int32))
