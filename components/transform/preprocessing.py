"""The preprocessing of photographs: the only one, for training, evaluation and serving alike."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components.artifacts import examples, transformed
from components.transform.settings import TransformSettings

Tensors = dict[str, Any]


def preprocessing_function(
    settings: TransformSettings, labels: Sequence[str]
) -> Callable[[Tensors], Tensors]:
    """Builds the `preprocessing_fn` for tf.transform.

    Args:
        settings: Image size and how to resize.
        labels: The pinned labels; a label's place is its index.

    Returns:
        A function from `image_bytes` and `label`, both string [N], to `image` string [N],
        the H * W * 3 pixel bytes of each, `label_index` int64 [N] (-1 for any other label), and
        the analyzed examples' `pixel_mean` and `pixel_variance` by channel, float32 [N, 3].
    """

    def preprocess(inputs: Tensors) -> Tensors:
        images = decode_and_resize(inputs[examples.IMAGE_BYTES], settings)
        mean, variance = _pixel_moments(images)
        rows = tf.shape(images)[0]
        return {
            transformed.IMAGE: _pixel_bytes(images),
            transformed.LABEL_INDEX: _label_index(inputs[examples.LABEL], labels),
            transformed.PIXEL_MEAN: tf.tile(mean[tf.newaxis], [rows, 1]),
            transformed.PIXEL_VARIANCE: tf.tile(variance[tf.newaxis], [rows, 1]),
        }

    return preprocess


def decode_and_resize(image_bytes: Any, settings: TransformSettings) -> Any:
    """Decodes JPEG, PNG, BMP or GIF (first frame) bytes and resizes them.

    Args:
        image_bytes: Encoded images, string [N].
        settings: Image size and how to resize.

    Returns:
        Pixels 0 to 255, uint8 [N, H, W, 3].

    Raises:
        tf.errors.InvalidArgumentError: When run, if one of them is no image.
    """
    height, width = settings.size

    def one(encoded: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        image.set_shape([None, None, 3])
        resized = _resize(tf.cast(image, tf.float32), height, width, settings.resize)
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    specification = tf.TensorSpec([height, width, 3], tf.uint8)
    return tf.map_fn(one, image_bytes, fn_output_signature=specification)


def _resize(image: Any, height: int, width: int, policy: str) -> Any:
    if policy == "pad":
        return tf.image.resize_with_pad(image, height, width, antialias=True)
    if policy == "crop":
        image = _centre_crop(image, height / width)
    return tf.image.resize(image, [height, width], antialias=True)


def _centre_crop(image: Any, aspect: float) -> Any:
    """The largest centred part of an image with the given height by width."""
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    height = tf.cast(tf.round(tf.minimum(shape[0], shape[1] * aspect)), tf.int32)
    width = tf.cast(tf.round(tf.minimum(shape[1], shape[0] / aspect)), tf.int32)
    height, width = tf.maximum(height, 1), tf.maximum(width, 1)
    top = (tf.shape(image)[0] - height) // 2
    left = (tf.shape(image)[1] - width) // 2
    return tf.image.crop_to_bounding_box(image, top, left, height, width)


def _label_index(label: Any, labels: Sequence[str]) -> Any:
    """Places of labels, string [N], in the pinned list, int64 [N]."""
    # Comparing with a constant needs no lookup table, whose file and initialization every
    # reader of the exported graph would have to carry.
    matches = tf.equal(label[:, tf.newaxis], tf.constant(list(labels)))
    place = tf.argmax(tf.cast(matches, tf.uint8), axis=1)
    return tf.where(tf.reduce_any(matches, axis=1), place, tf.constant(-1, tf.int64))


def _pixel_bytes(images: Any) -> Any:
    """Packs uint8 [N, H, W, 3] into string [N]; tf.transform has no uint8 features.

    A serialized uint8 tensor ends with its content, so that its last bytes are the pixels.
    """
    count = images.shape[1] * images.shape[2] * images.shape[3]

    def one(image: Any) -> Any:
        return tf.strings.substr(tf.io.serialize_tensor(image), -count, count)

    return tf.map_fn(one, images, fn_output_signature=tf.TensorSpec([], tf.string))


def _pixel_moments(images: Any) -> tuple[Any, Any]:
    """Mean and variance by channel over all pixels of the analyzed images, float32 [3] each."""
    pixels = tf.cast(images, tf.float32)
    # All images have the same number of pixels, so means of means are means; image by image the
    # sums stay small enough for float32.
    mean = tft.mean(tf.reduce_mean(pixels, [1, 2]), reduce_instance_dims=False)
    square_mean = tft.mean(tf.reduce_mean(tf.square(pixels), [1, 2]), reduce_instance_dims=False)
    return mean, tf.maximum(square_mean - tf.square(mean), 0.0)
