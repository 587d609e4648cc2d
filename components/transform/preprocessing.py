"""The preprocessing of photographs: the only one, for training, evaluation and serving alike."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

from components.transform.decoding import decode
from components.transform.settings import TransformSettings
from darkroom.artifacts import examples, transformed

Tensors = dict[str, Any]


def graph_input_schema() -> schema_pb2.Schema:
    """What the transform graph takes: a string of each name an example."""
    schema = schema_pb2.Schema()
    for name in transformed.GRAPH_INPUTS:
        feature = schema.feature.add(name=name, type=schema_pb2.BYTES)
        feature.presence.min_fraction = 1
        # A shape without dimensions: one value an example, so a dense tensor [N].
        feature.shape.SetInParent()
    return schema


def preprocessing_function(
    settings: TransformSettings, labels: Sequence[str], moments: dict[str, list[float]]
) -> Callable[[Tensors], Tensors]:
    """Builds the `preprocessing_fn` that tf.transform writes as the transform graph.

    Args:
        settings: Image size and how to resize.
        labels: The pinned labels; a label's place is its index.
        moments: The training split's `pixel_mean` and `pixel_variance` by channel.

    Returns:
        A function from `image_bytes` and `label`, both string [N], to `image` string [N],
        the H * W * 3 pixel bytes of each, `label_index` int64 [N] (-1 for any text but a single
        label), and the moments, float32 [N, 3].
    """

    def preprocess(inputs: Tensors) -> Tensors:
        def packed_pixels(encoded: Any) -> Any:
            pixels = crop_centre(resize(decode(encoded), settings), settings)
            return _pixel_bytes(pixels)

        image_bytes = inputs[examples.IMAGE_BYTES]
        packed = tf.map_fn(packed_pixels, image_bytes)
        rows = tf.shape(image_bytes)[0]
        return {
            transformed.IMAGE: packed,
            transformed.LABEL_INDEX: label_index(inputs[examples.LABEL], labels),
        } | {name: tf.tile([value], [rows, 1]) for name, value in moments.items()}

    return preprocess


def resize(image: Any, settings: TransformSettings) -> Any:
    """Resizes a decoded photograph, crop margin and all.

    Args:
        image: Pixels 0 to 255, uint8 [h, w, 3].
        settings: Image size and how to resize.

    Returns:
        Pixels 0 to 255, uint8 [H, W, 3], H and W as `settings.size_with_margin` states them.
    """
    resized = _resize(tf.cast(image, tf.float32), settings)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def crop_centre(pixels: Any, settings: TransformSettings) -> Any:
    """What is left of resized photographs, uint8 [..., H, W, 3], without their crop margin."""
    height, width = settings.size
    outer_height, outer_width = settings.size_with_margin
    top, left = (outer_height - height) // 2, (outer_width - width) // 2
    return pixels[..., top : top + height, left : left + width, :]


def label_index(label: Any, labels: Sequence[str]) -> Any:
    """Places of labels, string [N], in the pinned list, int64 [N]; -1 for any other."""
    # Comparing with a constant needs no lookup table, whose file and initialization every
    # reader of the exported graph would have to carry.
    matches = tf.equal(label[:, tf.newaxis], tf.constant(list(labels)))
    place = tf.argmax(tf.cast(matches, tf.uint8), axis=1)
    return tf.where(tf.reduce_any(matches, axis=1), place, tf.constant(-1, tf.int64))


def label_indicator(names: Any, labels: Sequence[str]) -> Any:
    """Which of the pinned labels are in an example's list, string [n]; bool [K].

    All False where one of the names is no label, since the others would teach that it is absent.
    """
    matches = tf.equal(names[:, tf.newaxis], tf.constant(list(labels)))
    return tf.reduce_any(matches, axis=0) & tf.reduce_all(tf.reduce_any(matches, axis=1))


def _resize(image: Any, settings: TransformSettings) -> Any:
    height, width = settings.size_with_margin
    method = settings.interpolation
    if settings.resize == "pad":
        return tf.image.resize_with_pad(image, height, width, method=method, antialias=True)
    if settings.resize == "crop":
        image = _largest_centre(image, height / width)
    return tf.image.resize(image, [height, width], method=method, antialias=True)


def _largest_centre(image: Any, aspect: float) -> Any:
    """The largest centred part of an image with the given height by width."""
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    height = tf.cast(tf.round(tf.minimum(shape[0], shape[1] * aspect)), tf.int32)
    width = tf.cast(tf.round(tf.minimum(shape[1], shape[0] / aspect)), tf.int32)
    height, width = tf.maximum(height, 1), tf.maximum(width, 1)
    top = (tf.shape(image)[0] - height) // 2
    left = (tf.shape(image)[1] - width) // 2
    return tf.image.crop_to_bounding_box(image, top, left, height, width)


def _pixel_bytes(pixels: Any) -> Any:
    """Packs uint8 [H, W, 3] into string []; tf.transform has no uint8 features.

    A serialized uint8 tensor ends with its content, so that its last bytes are the pixels.
    """
    count = pixels.shape.num_elements()
    return tf.strings.substr(tf.io.serialize_tensor(pixels), -count, count)
