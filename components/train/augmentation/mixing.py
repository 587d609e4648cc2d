"""Parts of a photograph hidden or replaced (cutout, GridMask), and pairs mixed (mixup, CutMix)."""

from typing import Any

from components.train.augmentation.colour import rounded
from components.train.augmentation.stateless_random import StatelessRandom

GREY = 128
"""Pixel value of hidden parts: near zero after most backbones' scaling."""
GRID_DISTANCES = (0.4, 1.0)
"""GridMask's distances between squares, as fractions of the shorter side; the paper's 96 to 224."""


def cut_out(images: Any, draws: StatelessRandom, longest: float) -> Any:
    """Hides a rectangle of each image (DeVries and Taylor, 2017).

    Args:
        images: uint8 [N, H, W, 3].
        draws: The batch's random numbers.
        longest: Longest side of the rectangle, as a fraction of the image's.

    Returns:
        uint8 [N, H, W, 3].
    """
    _, height, width, _ = images.shape
    rows = spans(draws, draws.uniform(0, longest), height)
    columns = spans(draws, draws.uniform(0, longest), width)
    return paste(images, rows, columns)


def mask_grid(images: Any, draws: StatelessRandom, part: float) -> Any:
    """Hides a grid of squares, with probability 0.5 for each image (Chen et al., "GridMask", 2020).

    Args:
        images: uint8 [N, H, W, 3].
        draws: The batch's random numbers.
        part: Side of the squares, as a fraction of their distance.

    Returns:
        uint8 [N, H, W, 3].
    """
    import tensorflow as tf

    _, height, width, _ = images.shape
    distance = draws.uniform(*GRID_DISTANCES)[:, tf.newaxis] * min(height, width)
    chosen = draws.half()[:, tf.newaxis]

    def hit(length: int) -> Any:
        offset = draws.uniform()[:, tf.newaxis] * distance
        along = tf.math.floormod(_places(length) + offset, distance)
        return (along < part * distance) & chosen

    return paste(images, hit(height), hit(width))


def spans(draws: StatelessRandom, part: Any, length: int) -> Any:
    """Spans at random positions along a side, in full pixels.

    Args:
        draws: The batch's random numbers.
        part: Length of the spans as a fraction of the side, float32 [N].
        length: Pixels of the side.

    Returns:
        Whether each pixel is in the span, bool [N, length].
    """
    import tensorflow as tf

    size = tf.round(part * length)
    start = tf.floor(draws.uniform() * (length - size + 1))
    size, start = size[:, tf.newaxis], start[:, tf.newaxis]
    return (_places(length) >= start) & (_places(length) < start + size)


def paste(images: Any, rows: Any, columns: Any, over: Any = None) -> Any:
    """Replaces the pixels of the chosen rows and columns by those of other images, or by grey.

    Args:
        images: uint8 [N, H, W, 3].
        rows: bool [N, H].
        columns: bool [N, W].
        over: Images to take pixels from, uint8 [N, H, W, 3]; None: grey.

    Returns:
        uint8 [N, H, W, 3].
    """
    import tensorflow as tf

    _, height, width, _ = images.shape

    def flat(pixels: Any) -> Any:
        # Channels are merged with columns, as broadcasting a mask over three channels is slow.
        return tf.reshape(pixels, [-1, height, width * 3])

    hit = rows[:, :, tf.newaxis] & tf.repeat(columns, 3, axis=1)[:, tf.newaxis, :]
    put = tf.constant(GREY, tf.uint8) if over is None else flat(over)
    return tf.reshape(tf.where(hit, put, flat(images)), [-1, height, width, 3])


def _places(length: int) -> Any:
    import tensorflow as tf

    return tf.range(length, dtype=tf.float32)[tf.newaxis]


def mix(
    images: Any, labels: Any, draws: StatelessRandom, mixup: float, cutmix: float
) -> tuple[Any, Any]:
    """Mixes each example with its neighbour in the same device's batch, whose order is random.

    Args:
        images: uint8 [N, H, W, 3].
        labels: float32 [N, K].
        draws: The batch's random numbers.
        mixup: Alpha of mixup's beta distribution; 0: no mixup.
        cutmix: Alpha of CutMix's; 0: no CutMix. With both, each is applied to half of the batches.

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
    """Blends images (Zhang et al., 2017), each keeping the fraction `own`, float32 [N]."""
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
    # The area in full pixels.
    row_part, column_part = (
        tf.reduce_mean(tf.cast(hit, tf.float32), axis=1) for hit in (rows, columns)
    )
    return mixed, _mixed_labels(labels, 1 - row_part * column_part)


def _mixed_labels(labels: Any, own: Any) -> Any:
    import tensorflow as tf

    own = own[:, tf.newaxis]
    return own * labels + (1 - own) * tf.roll(labels, 1, axis=0)
