"""Tasks done by workers of a runner that can do no more of the work, or on other machines."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import apache_beam as beam
import numpy as np

from components.transform.pixels import Task, WriteRecords, Written
from darkroom.artifacts.code_digest import code_digest
from darkroom.beam.remote import (
    RemoteWorkers,
    download_all,
    pipeline_here,
    pipeline_on,
    shared_folder,
    with_reachable_shards,
)
from darkroom.beam.same_code import check_same_code
from darkroom.storage.files import written_to
from darkroom.storage.paths import is_uri, mounted_uri


def write_on_runner(
    tasks: Sequence[Task],
    write: WriteRecords,
    workers: RemoteWorkers | None,
    options: Sequence[str],
    written: Path,
) -> None:
    """Has the tasks done.

    What workers on other machines cannot read, or write, goes by way of a folder shared with them.

    Args:
        tasks: The tasks.
        write: Does a task.
        workers: The workers on other machines; None where they are on this one.
        options: Options for Beam in its spelling.
        written: Where goes what `ReadWritten` gives of every task.
    """
    with ExitStack() as stack:
        if workers is None:
            place, pipeline = str(written), pipeline_here(options)
        else:
            shared = stack.enter_context(shared_folder(workers))
            tasks = with_reachable_shards(tasks, f"{shared}/examples")
            place, pipeline = shared, pipeline_on(workers)
            records, write = write.folder, write.into(_reachable_folder(write.folder, shared))
        with pipeline as graph:
            _ = (
                graph
                | "List tasks" >> beam.Create(tasks)
                | "Spread tasks" >> beam.Reshuffle()
                | "Write records" >> beam.ParDo(_Save(write, f"{place}/written"))
            )
        if workers is not None:
            download_all(f"{place}/written", written / "written")
            if write.folder == f"{shared}/records":
                download_all(write.folder, Path(records))


def _reachable_folder(records: str, shared: str) -> str:
    return records if is_uri(records) else mounted_uri(records) or f"{shared}/records"


class _Save(beam.DoFn):  # type: ignore[misc]
    """Does a task, and leaves what it came to in a folder."""

    def __init__(self, write: WriteRecords, folder: str) -> None:
        self._code = code_digest(__name__)
        self._write = write
        self._folder = folder

    def setup(self) -> None:
        check_same_code(__name__, self._code)
        self._write.setup()

    def process(self, task: Task) -> None:
        done = self._write.write(task)
        with written_to(self._folder) as local, _file(local, task).open("wb") as file:
            np.savez(file, **dataclasses.asdict(done))


class ReadWritten(beam.DoFn):  # type: ignore[misc]
    """Gives what `WriteRecords` would for a task that workers did."""

    def __init__(self, written: Path) -> None:
        self._folder = str(written / "written")

    def process(self, task: Task) -> Iterator[Written]:
        """Reads what the task came to."""
        with np.load(_file(Path(self._folder), task)) as done:
            values = {name: done[name] if done[name].ndim else done[name].item() for name in done}
            yield Written(**values)


def _file(folder: Path, task: Task) -> Path:
    return folder / f"{task.name}.npz"
