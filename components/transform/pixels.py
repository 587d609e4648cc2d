"""Shards of photographs to shards of records: each is decoded once, where it is read."""

import copy
import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from apache_beam.utils.shared import Shared

from components.transform.decoding import decode_stored
from components.transform.embeddings import Embedder
from components.transform.moments import Array, image_moments, moments_batch
from components.transform.preprocessing import (
    crop_centre,
    label_index,
    label_indicator,
    resize,
)
from components.transform.settings import TransformSettings
from darkroom.artifacts import examples, transformed
from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example, serialized_example
from darkroom.records.shards import list_shards
from darkroom.records.tfrecord import read_records, write_record
from darkroom.runtime.pace import Pace
from darkroom.storage.atomic import write_json
from darkroom.storage.files import read_all, written_to

_log = logging.getLogger("darkroom.transform")

TASK_BYTES = 64 * 2**20
"""Examples a task: some seconds of work, which pay for building its `tf.data` pipeline."""
BATCH_BYTES = 8 * 2**20
"""Pixels that leave TensorFlow at once."""
OPEN_SHARDS = 16
"""Shards read in turn, so that photographs listed label by label come out mixed."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Shards of examples that become one shard of records.

    Attributes:
        split: The split they are of.
        shards: Their paths or URIs.
        name: File name of what they become, such as `train-00000-of-00002.tfrecord`.
    """

    split: str
    shards: tuple[str, ...]
    name: str


def plan_tasks(source: examples.Examples) -> list[Task]:
    """Divides all shards into tasks of some `TASK_BYTES`; the same shards give the same tasks."""
    tasks = []
    for split in examples.SPLITS:
        shards = list_shards(source.records, split)
        count = -(-sum(shard.size for shard in shards) // TASK_BYTES) or 1
        for number in range(count):
            # Every `count`-th shard, so that each task is a sample of the whole.
            paths = tuple(shard.location for shard in shards[number::count])
            name = f"{split}-{number:05d}-of-{count:05d}.tfrecord"
            tasks.append(Task(split, paths, name))
    return tasks


@dataclasses.dataclass(frozen=True)
class Written:
    """What a task came to, beside its shard.

    Attributes:
        split: The split it is of.
        count: Number of its records.
        name: File name of its shard.
        digest: SHA-256 of the shard.
        mean: Mean of each training photograph's pixels by channel, float64 [N, 3].
        variance: Their variance, likewise.
    """

    split: str
    count: int
    name: str
    digest: str
    mean: Array
    variance: Array


def count_of(written: Written) -> tuple[str, int]:
    """The split of a task, and the number of its records."""
    return written.split, written.count


def digest_of_shard(written: Written) -> tuple[int, tuple[str, str]]:
    """The name and the digest of a task's shard, all under one key."""
    return 0, (written.name, written.digest)


def write_digests(pair: tuple[int, Iterable[tuple[str, str]]], path: Path) -> None:
    """Writes the digests of all shards by name, as JSON."""
    write_json(path, dict(pair[1]))


def moments_of(written: Written) -> Iterator[pa.RecordBatch]:
    """The moments of a task's photographs as a record batch, where it has any."""
    if len(written.mean):
        yield moments_batch(written.mean, written.variance)


class WriteRecords(beam.DoFn):  # type: ignore[misc]
    """Does a task; yields what it came to.

    Records hold pixels or, where the settings say so, embeddings. A task that is tried again
    writes the same file with the same bytes. Raises StepError for an image that TensorFlow cannot
    decode, and for a damaged shard.
    """

    def __init__(
        self,
        folder: str,
        settings: TransformSettings,
        labels: Sequence[str],
        multi_label: bool = False,
        total: int = 0,
    ) -> None:
        self.folder = folder
        self._total = total
        self._pace: Pace | None = None
        self._settings = settings
        self._labels = tuple(labels)
        self._multi_label = multi_label
        self._embedder: Embedder | None = None
        self._shared = Shared()

    def setup(self) -> None:
        """Builds the backbone, once a process."""
        self._pace = Pace(_log, "photographs", self._total)
        embeddings, size = self._settings.embeddings, self._settings.size
        if embeddings is not None:
            self._embedder = self._shared.acquire(lambda: Embedder(embeddings, size))

    def into(self, folder: str) -> "WriteRecords":
        """The same, into another folder."""
        other = copy.copy(self)
        other.folder = folder
        return other

    def process(self, task: Task) -> Iterator[Written]:
        """Writes the task's shard."""
        yield self.write(task)

    def write(self, task: Task) -> Written:
        """Writes the task's shard, on copies of what is in a store."""
        with written_to(self.folder) as folder, read_all(task.shards) as shards:
            return self._written(dataclasses.replace(task, shards=shards), folder)

    def _written(self, task: Task, folder: Path) -> Written:
        count = 0
        # Without a training photograph there are none to concatenate.
        moments: list[tuple[Array, Array]] = [(np.zeros((0, 3)), np.zeros((0, 3)))]
        with (folder / task.name).open("wb") as file:
            for images, labels in self._batches(task):
                self._write(file, images, _indices(labels))
                count += len(images)
                if self._pace is not None:
                    self._pace.add(len(images))
                if task.split == "train":
                    moments.append(image_moments(crop_centre(images, self._settings)))
        mean, variance = (np.concatenate(parts) for parts in zip(*moments, strict=True))
        with (folder / task.name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Written(task.split, count, task.name, digest, mean, variance)

    def _write(self, file: BinaryIO, images: Array, indices: Sequence[int | list[int]]) -> None:
        name, contents = transformed.IMAGE, images
        if self._embedder is not None:
            name, contents = transformed.EMBEDDING, self._embedder(images)
        for content, index in zip(contents, indices, strict=True):
            features = {name: content.tobytes(), transformed.LABEL_INDEX: index}
            write_record(file, serialized_example(features))

    def _batches(self, task: Task) -> Iterator[tuple[Array, Array]]:
        try:
            yield from pixel_dataset(
                task, self._settings, self._labels, self._multi_label
            ).as_numpy_iterator()
        except tf.errors.DataLossError as error:
            raise StepError(f"{error.message}; ingest again") from error
        except tf.errors.InvalidArgumentError as error:
            raise StepError(_name_culprit(task, error)) from error


def _indices(labels: Array) -> list[int | list[int]]:
    """Index by photograph, or indices where photographs have several labels."""
    several = labels.ndim == 2
    known = labels.any(axis=1) if several else labels >= 0
    # Taken on, such a record would teach that none of the labels fits.
    if not known.all():
        raise StepError("a photograph has a label that is none of the label list; ingest again")
    return [np.flatnonzero(row).tolist() for row in labels] if several else labels.tolist()


def check_count(counted: tuple[str, int], source: examples.Examples) -> None:
    """Compares the number of records read of a split with the manifest's.

    Raises:
        StepError: They differ.
    """
    split, count = counted
    stated = source.counts.get(split, 0)
    if count != stated:
        raise StepError(
            f"the {split} split of {source.folder} holds {count:,} records, where its manifest "
            f"states {stated:,} (a shard is lost, cut or added); ingest again"
        )


def pixel_dataset(
    task: Task, settings: TransformSettings, labels: Sequence[str], multi_label: bool = False
) -> Any:
    """The photographs of a task as a dataset, decoded on all cores.

    Args:
        task: The task.
        settings: Image size and how to resize.
        labels: The pinned labels.
        multi_label: Whether examples have a list of labels instead of one.

    Returns:
        A tf.data.Dataset of (pixels uint8 [N, H, W, 3], label indices int64 [N] or, multi-label,
        which labels there are, bool [N, K]), with the crop margin in the training split.
    """
    features: dict[str, Any] = {examples.IMAGE_BYTES: tf.io.FixedLenFeature([], tf.string)}
    if multi_label:
        features[examples.LABELS] = tf.io.RaggedFeature(tf.string)
    else:
        features[examples.LABEL] = tf.io.FixedLenFeature([], tf.string)
    height, width = settings.size_with_margin
    batch_size = max(1, min(64, BATCH_BYTES // (height * width * 3)))

    def decode(record: Any) -> tuple[Any, Any]:
        example = tf.io.parse_single_example(record, features)
        pixels = resize(decode_stored(example[examples.IMAGE_BYTES]), settings)
        if task.split != "train":
            pixels = crop_centre(pixels, settings)
        if multi_label:
            return pixels, label_indicator(example[examples.LABELS], labels)
        return pixels, example[examples.LABEL]

    def place(pixels: Any, label: Any) -> tuple[Any, Any]:
        return pixels, label if multi_label else label_index(label, labels)

    open_shards = max(1, min(len(task.shards), OPEN_SHARDS))
    return (
        tf.data.Dataset.from_tensor_slices(tf.constant(task.shards, tf.string))
        .interleave(tf.data.TFRecordDataset, cycle_length=open_shards)
        # It has no Python control flow, and looking for some takes a tenth of a second a task.
        .map(tf.autograph.experimental.do_not_convert(decode), num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .map(place)
        .prefetch(1)
    )


def _name_culprit(task: Task, error: tf.errors.OpError) -> str:
    """Names the photograph that TensorFlow refuses, which its own error does not."""
    for shard in task.shards:
        for record in read_records(shard):
            example = parsed_example(record)
            try:
                decode_stored(tf.constant(example[examples.IMAGE_BYTES][0]))
            except tf.errors.InvalidArgumentError as alone:
                path = b"".join(example.get(examples.IMAGE_PATH, [])).decode(errors="replace")
                return f"cannot decode {path or shard}; ingest again ({_reason(alone)})"
    return f"cannot read {', '.join(task.shards)}; ingest again ({_reason(error)})"


def _reason(error: tf.errors.OpError) -> str:
    return str(error.message).splitlines()[0]
