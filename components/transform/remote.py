"""Tasks done by workers on other machines, which have neither the examples nor the records."""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np

from components.transform.pixels import Task, WriteRecords, Written
from darkroom.beam.remote import (
    RemoteWorkers,
    download,
    download_all,
    pipeline_here,
    pipeline_on,
    shared_folder,
    upload,
)
from darkroom.storage.paths import mounted_uri


def write_remote(
    tasks: Sequence[Task], write: WriteRecords, workers: RemoteWorkers, records: Path, written: Path
) -> None:
    """Has the tasks done by workers on other machines, by way of a folder shared with them.

    Args:
        tasks: The tasks.
        write: Does a task where its shards are.
        workers: The workers.
        records: Where the shards of records go.
        written: Where goes what else `ReadWritten` gives of every task.
    """
    with shared_folder(workers) as shared:
        reached = _reachable(tasks, shared)
        with pipeline_on(workers) as pipeline:
            _ = (
                pipeline
                | "List tasks" >> beam.Create(reached)
                | "Spread tasks" >> beam.Reshuffle()
                | "Write records" >> beam.ParDo(_WriteElsewhere(write, shared))
            )
        download_all(f"{shared}/records", records)
        download_all(f"{shared}/written", written)


def write_here(
    tasks: Sequence[Task], write: WriteRecords, options: Sequence[str], records: Path, written: Path
) -> None:
    """Has the tasks done by workers on this machine, of a runner that can do no more of the work.

    Args:
        tasks: The tasks.
        write: Does a task.
        options: Options for Beam in its spelling.
        records: Where the shards of records go.
        written: Where goes what else `ReadWritten` gives of every task.
    """
    with pipeline_here(options) as pipeline:
        _ = (
            pipeline
            | "List tasks" >> beam.Create(tasks)
            | "Spread tasks" >> beam.Reshuffle()
            | "Write records" >> beam.ParDo(_WriteHere(write, str(records), str(written)))
        )


class _WriteHere(beam.DoFn):  # type: ignore[misc]
    """Does a task, and leaves what it came to in a folder."""

    def __init__(self, write: WriteRecords, records: str, written: str) -> None:
        self._write = write
        self._records = records
        self._written = written

    def setup(self) -> None:
        self._write.setup()

    def process(self, task: Task) -> None:
        _save(self._write.write(task, Path(self._records)), _file(Path(self._written), task))


def _save(done: Written, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, count=done.count, mean=done.mean, variance=done.variance)


def _reachable(tasks: Sequence[Task], shared: str) -> list[Task]:
    """The tasks with shards that remote workers can open."""
    uris = {shard: mounted_uri(Path(shard)) for task in tasks for shard in task.shards}
    upload([Path(shard) for shard, uri in uris.items() if uri is None], f"{shared}/examples")

    def reached(shard: str) -> str:
        return uris[shard] or f"{shared}/examples/{Path(shard).name}"

    return [dataclasses.replace(t, shards=tuple(map(reached, t.shards))) for t in tasks]


class _WriteElsewhere(beam.DoFn):  # type: ignore[misc]
    """Does a task on a copy of its shards, and leaves what it wrote in the shared folder."""

    def __init__(self, write: WriteRecords, shared: str) -> None:
        self._write = write
        self._shared = shared

    def setup(self) -> None:
        self._write.setup()

    def process(self, task: Task) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "records").mkdir()
            shards = tuple(str(shard) for shard in download(task.shards, folder))
            done = self._write.write(dataclasses.replace(task, shards=shards), folder / "records")
            _save(done, _file(folder, task))
            upload([_file(folder, task)], f"{self._shared}/written")
            upload([folder / "records" / task.name], f"{self._shared}/records")


class ReadWritten(beam.DoFn):  # type: ignore[misc]
    """Gives what `WriteRecords` would for a task that was done by a remote worker."""

    def __init__(self, written: str) -> None:
        self._written = written

    def process(self, task: Task) -> Iterator[Written]:
        """Reads what the task came to."""
        with np.load(_file(Path(self._written), task)) as done:
            yield Written(task.split, int(done["count"]), done["mean"], done["variance"])


def _file(folder: Path, task: Task) -> Path:
    return folder / f"{task.name}.npz"
