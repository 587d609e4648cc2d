"""Transformed examples as `tf.data` streams of global batches; each worker reads its shard.

The training stream depends on the seed and the first step only: pass after pass over the examples,
each in a different order, cut into full batches. A batch may span two passes, so no example is
dropped, no worker runs out of data, and an epoch is a fixed number of steps.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from components.train.augmentation import build_augmentation
from components.train.augmentation.settings import NO_AUGMENTATION, AugmentationSettings
from components.train.augmentation.stateless_random import StatelessRandom
from components.train.data.records import record_stream
from darkroom.artifacts.transformed import (
    EMBEDDING,
    IMAGE,
    LABEL_INDEX,
    TransformedExamples,
    TransformGraph,
)
from darkroom.errors import StepError

SHUFFLE_BYTES = 256 * 2**20
"""Most memory of the shuffle buffer, so that it does not grow with the dataset."""

Parse = Callable[[Any], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class WorkerShard:
    """The shard of every global batch that one worker reads.

    Attributes:
        batch_size: Examples in a global batch.
        workers: Number of workers.
        worker: This worker's number, from 0.
        replicas: Devices of all workers; a stream yields the batch of one device.
    """

    batch_size: int
    workers: int = 1
    worker: int = 0
    replicas: int = 1


def training_stream(
    source: TransformedExamples,
    graph: TransformGraph,
    shard: WorkerShard,
    seed: int,
    first_step: int = 0,
    augmentation: AugmentationSettings = NO_AUGMENTATION,
) -> Any:
    """Streams the training split without end, in an order determined by seed and step.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        shard: The shard of the global batches to read.
        seed: Seed of shuffling, crops and augmentation.
        first_step: Number of the first global batch, from 0.
        augmentation: Random changes to the photographs, applied after the crop.

    Returns:
        A tf.data.Dataset of (images uint8 [N, H, W, 3], labels float32 [N, K]), one-hot or,
        where photographs have several labels, multi-hot.

    Raises:
        StepError: The split is empty.
    """
    import tensorflow as tf

    count = _count(source, "train")
    files = _shards(source, "train")
    start = first_step * shard.batch_size
    buffer = max(shard.batch_size, min(count, SHUFFLE_BYTES // source.record_bytes("train")))

    def one_pass(number: Any) -> Any:
        # Sets the seed of this function's graph only: the process's seed must not change the order.
        tf.random.set_seed(1)
        order = tf.stack([tf.cast(seed, tf.int64), number])
        shuffled = tf.random.experimental.stateless_shuffle(files, order)
        draw = tf.random.stateless_uniform([], order, minval=None, maxval=None, dtype=tf.int64)
        records = record_stream(files, shuffled)
        records = records.shuffle(buffer, seed=draw, reshuffle_each_iteration=False)
        done = tf.constant(start % count, tf.int64)
        return records.skip(tf.where(number == start // count, done, 0))

    passes = tf.data.Dataset.range(start // count, tf.int64.max)
    batches = _batches(passes.flat_map(one_pass), shard, start)
    parse, crop = _parser(source, graph, "train"), _cropper(source, graph, "train")
    augment = build_augmentation(augmentation)

    def prepare(positions: Any, records: Any) -> tuple[Any, Any]:
        images, labels = parse(records)
        draws = StatelessRandom(seed, positions, shard.batch_size)
        return augment(crop(images, draws), labels, draws)

    return batches.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation_stream(
    source: TransformedExamples, graph: TransformGraph, split: str, shard: WorkerShard
) -> Any:
    """Streams a split once, in stored order, cropped to the centre.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        split: `train`, `valid` or `test`.
        shard: The shard of the global batches to read.

    Returns:
        A tf.data.Dataset of (images uint8 [N, H, W, 3], labels float32 [N, K] as in training,
        weights float32 [N]). All batches are full; examples that fill up the last have weight 0.

    Raises:
        StepError: The split is empty.
    """
    import tensorflow as tf

    count = _count(source, split)
    records = record_stream(_shards(source, split)).repeat()
    records = records.take(evaluation_steps(source, split, shard) * shard.batch_size)
    parse, crop = _parser(source, graph, split), _cropper(source, graph, split)

    def prepare(positions: Any, records: Any) -> tuple[Any, Any, Any]:
        images, labels = parse(records)
        return crop(images, None), labels, tf.cast(positions < count, tf.float32)

    batches = _batches(records, shard).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def evaluation_steps(source: TransformedExamples, split: str, shard: WorkerShard) -> int:
    """Number of global batches in one pass over a split."""
    return math.ceil(source.counts[split] / shard.batch_size)


def epoch_steps(source: TransformedExamples, batch_size: int) -> int:
    """Number of global batches in an epoch: a pass over the training split, rounded."""
    return max(1, round(source.counts["train"] / batch_size))


def count_labels(source: TransformedExamples, graph: TransformGraph) -> Any:
    """Counts training examples by label, int64 [K], in one pass that decodes no pixels."""
    import tensorflow as tf

    features = label_features(graph)
    records = record_stream(_shards(source, "train")).batch(256)

    def add(sums: Any, some: Any) -> Any:
        vectors = label_vectors(tf.io.parse_example(some, features), graph)
        return sums + tf.cast(tf.reduce_sum(vectors, 0), tf.int64)

    return records.reduce(tf.zeros([len(graph.labels)], tf.int64), add).numpy()


def _count(source: TransformedExamples, split: str) -> int:
    count = source.counts.get(split)
    if not count:
        raise StepError(
            f"the {split} split of {source.folder} is empty: ingest more photographs, or give "
            f"ingest.split a larger part for {split}"
        )
    return count


def _shards(source: TransformedExamples, split: str) -> list[str]:
    shards = source.shards(split)
    if not shards:
        raise StepError(
            f"the {split} records of {source.folder} are gone from {source.records}; transform "
            "again, on a cluster with --no-cache"
        )
    return shards


def _batches(records: Any, shard: WorkerShard, start: int = 0) -> Any:
    """Batches of (positions, records) for one device: each worker takes every n-th record.

    Positions are computed per batch, and one worker needs no shard: both save an operation per
    record.
    """
    import tensorflow as tf

    size = shard.batch_size // shard.replicas
    if shard.workers > 1:
        records = records.shard(shard.workers, shard.worker)
    offsets = shard.worker + shard.workers * tf.range(size, dtype=tf.int64) + start

    def numbered(number: Any, some: Any) -> tuple[Any, Any]:
        return number * size * shard.workers + offsets, some

    return records.batch(size, drop_remainder=True).enumerate().map(numbered)


def _parser(source: TransformedExamples, graph: TransformGraph, split: str) -> Parse:
    import tensorflow as tf

    if source.embeddings is not None:
        return embeddings_parser(source.embeddings.size, graph)
    height, width = source.stored_size[split]
    features = {IMAGE: tf.io.FixedLenFeature([], tf.string)} | label_features(graph)

    def parse(records: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_example(records, features)
        pixels = tf.io.decode_raw(parsed[IMAGE], tf.uint8)
        images = tf.reshape(pixels, [records.shape[0], height, width, 3])
        return images, label_vectors(parsed, graph)

    return parse


def _cropper(
    source: TransformedExamples, graph: TransformGraph, split: str
) -> Callable[[Any, Any], Any]:
    """Returns a function that crops each image at random, or to the centre without draws."""
    import tensorflow as tf

    size = graph.image_size
    stored = source.stored_size.get(split, size)  # embeddings have none
    if stored == size:
        return lambda images, _: images
    room = tf.constant([stored[0] - size[0], stored[1] - size[1]])

    def crop(images: Any, draws: StatelessRandom | None) -> Any:
        if draws is None:
            top, left = (stored[0] - size[0]) // 2, (stored[1] - size[1]) // 2
            return images[:, top : top + size[0], left : left + size[1]]
        part = tf.stack([draws.uniform(), draws.uniform()], axis=1)
        corner = tf.cast(part * tf.cast(room + 1, tf.float32), tf.int32)
        for axis in (0, 1):
            places = corner[:, axis, tf.newaxis] + tf.range(size[axis])
            images = tf.gather(images, places, axis=axis + 1, batch_dims=1)
        return images

    return crop


def label_features(graph: TransformGraph) -> dict[str, Any]:
    """The feature specification of a record's labels, for `tf.io.parse_example`.

    Args:
        graph: States whether photographs have several labels.
    """
    import tensorflow as tf

    several = graph.multi_label
    return {
        LABEL_INDEX: tf.io.VarLenFeature(tf.int64)
        if several
        else tf.io.FixedLenFeature([], tf.int64)
    }


def label_vectors(parsed: Mapping[str, Any], graph: TransformGraph) -> Any:
    """The labels of a batch, float32 [N, K].

    Args:
        parsed: The batch, parsed with `label_features`.
        graph: States the labels.
    """
    import tensorflow as tf

    indices, count = parsed[LABEL_INDEX], len(graph.labels)
    if not graph.multi_label:
        return tf.one_hot(indices, count)
    return tf.cast(tf.sparse.to_indicator(indices, count), tf.float32)


def embeddings_parser(size: int, graph: TransformGraph) -> Callable[[Any], tuple[Any, Any]]:
    """Builds a parser of records that hold embeddings.

    Args:
        size: Number of values in an embedding.
        graph: States the labels.

    Returns:
        A function from serialized records, string [N], to (embeddings float32 [N, size], labels
        float32 [N, K]).
    """
    import tensorflow as tf

    features = {EMBEDDING: tf.io.FixedLenFeature([], tf.string)} | label_features(graph)

    def parse(records: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_example(records, features)
        values = tf.cast(tf.io.decode_raw(parsed[EMBEDDING], tf.float16), tf.float32)
        embeddings = tf.reshape(values, [records.shape[0], size])
        return embeddings, label_vectors(parsed, graph)

    return parse
