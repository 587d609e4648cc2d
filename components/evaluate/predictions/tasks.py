"""Shards of examples to files of predictions: a task is some shards, read where it is done."""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from components.evaluate.predictions.predict import BATCH_SIZE, Predict
from darkroom.artifacts.code_digest import code_digest
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.predictions import PREDICTIONS, SUFFIX
from darkroom.beam.same_code import check_same_code
from darkroom.records.shards import list_shards
from darkroom.records.tfrecord import read_records
from darkroom.storage.files import written_to

TASK_BYTES = 32 * 2**20
"""Examples a task: enough that loading the model is little beside it."""
ROW_GROUP_BYTES = 16 * 2**20
"""Predictions that are held until they are written."""


@dataclasses.dataclass(frozen=True)
class Task:
    """Shards of examples whose predictions become one file.

    Attributes:
        split: The split they are of.
        shards: Their paths or URIs.
        name: File name of what they become.
    """

    split: str
    shards: tuple[str, ...]
    name: str


def plan_tasks(examples: Examples, split: str) -> list[Task]:
    """Divides the shards of a split into tasks of some `TASK_BYTES`."""
    shards = list_shards(examples.records, split)
    count = min(len(shards), -(-sum(shard.size for shard in shards) // TASK_BYTES))
    tasks = []
    for number in range(count):
        name = f"{PREDICTIONS}-{split}-{number:05d}-of-{count:05d}{SUFFIX}"
        tasks.append(Task(split, tuple(each.location for each in shards[number::count]), name))
    return tasks


class WritePredictions(beam.DoFn):  # type: ignore[misc]
    """Does a task. One that is tried again writes the same file."""

    def __init__(self, predict: Mapping[str, Predict], folder: str) -> None:
        """Takes what is picklable only.

        Args:
            predict: Gives the predictions of a split's records, by split.
            folder: Path or URI of where the files go.
        """
        self._code = code_digest(__name__)
        self._predict = predict
        self._folder = folder

    def process(self, task: Task) -> None:
        """Writes the task's file."""
        check_same_code(__name__, self._code)
        tables = self._predict[task.split].tables(_batches(task))
        with written_to(self._folder) as local:
            _write(tables, local / task.name)


def _batches(task: Task) -> Iterator[list[bytes]]:
    records = itertools.chain.from_iterable(map(read_records, task.shards))
    while batch := list(itertools.islice(records, BATCH_SIZE)):
        yield batch


def _write(tables: Iterator[pa.Table], path: Path) -> None:
    held: list[pa.Table] = []
    with ExitStack() as stack:
        writer = None
        for table in tables:
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
                stack.enter_context(writer)
            held.append(table)
            if sum(each.nbytes for each in held) >= ROW_GROUP_BYTES:
                writer.write_table(pa.concat_tables(held))
                held = []
        if writer is not None and held:
            writer.write_table(pa.concat_tables(held))
