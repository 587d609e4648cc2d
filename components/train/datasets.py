"""Transformed examples as `tf.data` datasets."""

import math
from typing import Any

from components.artifacts.errors import StepError
from components.artifacts.transformed import (
    IMAGE,
    LABEL_INDEX,
    TransformedExamples,
    TransformGraph,
)

SHUFFLE_BYTES = 256 * 2**20
"""Memory the shuffle buffer may take, so that it does not grow with the dataset."""


def build_dataset(
    source: TransformedExamples,
    graph: TransformGraph,
    split: str,
    batch_size: int,
    shuffle_seed: int | None = None,
) -> Any:
    """Streams a split in batches.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        split: `train`, `valid` or `test`.
        batch_size: Examples a batch; the last may be smaller.
        shuffle_seed: Seed of a new order, and of new crops, every epoch; None keeps the stored
            order, and crops to the centre.

    Returns:
        A tf.data.Dataset of (images uint8 [N, H, W, 3], one-hot labels float32 [N, K]).

    Raises:
        StepError: The split is empty.
    """
    import tensorflow as tf

    if not source.counts.get(split):
        raise StepError(f"the {split} split of {source.folder} is empty")
    height, width = source.stored_size[split]
    features = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL_INDEX: tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(records: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_example(records, features)
        # The length must be stated, for a batch of none is reshaped too.
        pixels = tf.io.decode_raw(parsed[IMAGE], tf.uint8)
        images = tf.reshape(pixels, [-1, height, width, 3])
        return images, tf.one_hot(parsed[LABEL_INDEX], len(graph.labels))

    dataset = tf.data.TFRecordDataset([str(shard) for shard in source.shards(split)])
    if shuffle_seed is not None:
        buffer = max(batch_size, min(source.counts[split], SHUFFLE_BYTES // (height * width * 3)))
        dataset = dataset.shuffle(buffer, seed=shuffle_seed)
    dataset = dataset.batch(batch_size).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    if source.stored_size[split] != graph.image_size:
        dataset = _cropped(dataset, source.stored_size[split], graph.image_size, shuffle_seed)
    batches = math.ceil(source.counts[split] / batch_size)
    # Keras would else find the number of batches by running out of them, with a warning.
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _cropped(dataset: Any, stored: tuple[int, int], size: tuple[int, int], seed: int | None) -> Any:
    """Crops every image of every batch at a random place of its own, or to the centre."""
    import tensorflow as tf

    room = tf.constant([stored[0] - size[0], stored[1] - size[1]])
    # A seed a batch, which follow from the one seed and are new ones every epoch.
    seeds = tf.data.Dataset.random(seed or 0, rerandomize_each_iteration=True).batch(2)

    def crop(batch: tuple[Any, Any], batch_seed: Any) -> tuple[Any, Any]:
        images, labels = batch
        count = tf.shape(images)[0]
        if seed is None:
            corner = tf.tile([room // 2], [count, 1])
        else:
            part = tf.random.stateless_uniform([count, 2], batch_seed)
            corner = tf.cast(part * tf.cast(room + 1, tf.float32), tf.int32)
        for axis in (0, 1):
            places = corner[:, axis, tf.newaxis] + tf.range(size[axis])
            images = tf.gather(images, places, axis=axis + 1, batch_dims=1)
        return images, labels

    zipped = tf.data.Dataset.zip(dataset, seeds)
    return zipped.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
