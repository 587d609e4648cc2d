"""Mixup and CutMix: photographs and labels of a batch blended in pairs."""

from typing import Any

from components.train.augmentation.colour import rounded
from components.train.augmentation.masks import paste, spans
from components.train.augmentation.stateless_random import StatelessRandom


def mix(
    images: Any, labels: Any, draws: StatelessRandom, mixup: float, cutmix: float
) -> tuple[Any, Any]:
    """Mixes each example with its neighbour in the same device's batch, whose order is random.

    Args:
        images: uint8 [N, H, W, 3].
        labels: float32 [N, K].
        draws: The batch's random numbers.
        mixup: Alpha of mixup's beta distribution; 0 is none.
        cutmix: Alpha of CutMix's; with both, each gets every second batch.

    Returns:
        Images uint8 [N, H, W, 3], and labels float32 [N, K] mixed in the same proportions.
    """
    import tensorflow as tf

    def blended() -> tuple[Any, Any]:
        return _mix_up(images, labels, draws.beta(mixup))

    def pasted() -> tuple[Any, Any]:
        return _cut_mix(images, labels, draws, draws.beta(cutmix))

    if not cutmix:
        return blended()
    if not mixup:
        return pasted()
    mixed: tuple[Any, Any] = tf.cond(draws.one_of(2) == 0, blended, pasted)
    return mixed


def _mix_up(images: Any, labels: Any, own: Any) -> tuple[Any, Any]:
    """Blends images (Zhang et al., 2017), each keeping its `own` part, float32 [N]."""
    import tensorflow as tf

    pixels = tf.cast(images, tf.float32)
    own_pixels = own[:, tf.newaxis, tf.newaxis, tf.newaxis]
    mixed = own_pixels * pixels + (1 - own_pixels) * tf.roll(pixels, 1, axis=0)
    return rounded(mixed), _mixed_labels(labels, own)


def _cut_mix(images: Any, labels: Any, draws: StatelessRandom, own: Any) -> tuple[Any, Any]:
    """Pastes a rectangle of another image (Yun et al., 2019), of about 1 - `own` of the area."""
    import tensorflow as tf

    _, height, width, _ = images.shape
    side = tf.sqrt(1 - own)
    rows, columns = spans(draws, side, height), spans(draws, side, width)
    mixed = paste(images, rows, columns, tf.roll(images, 1, axis=0))
    # The area as it came out in whole pixels.
    row_part, column_part = (
        tf.reduce_mean(tf.cast(hit, tf.float32), axis=1) for hit in (rows, columns)
    )
    return mixed, _mixed_labels(labels, 1 - row_part * column_part)


def _mixed_labels(labels: Any, own: Any) -> Any:
    import tensorflow as tf

    own = own[:, tf.newaxis]
    return own * labels + (1 - own) * tf.roll(labels, 1, axis=0)
