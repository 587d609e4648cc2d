"""Chunks spread over the workers of a Beam runner."""

import logging
import os
import pickle
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import apache_beam as beam
import joblib
from apache_beam.options.pipeline_options import PipelineOptions

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, write_chunk_results
from components.ingest.shards.processes import cores, exit_with_parent
from darkroom.beam.options import beam_arguments
from darkroom.beam.remote import (
    RemoteWorkers,
    check_reachable,
    download,
    download_all,
    pipeline_on,
    remote_workers,
    shared_folder,
    upload,
)
from darkroom.errors import StepError
from darkroom.runtime.pace import Pace

_log = logging.getLogger("darkroom.ingest")


def run(chunks: Sequence[Chunk], folder: Path, settings: IngestSettings) -> None:
    """Writes every chunk's shards, and what became of its rows, through Beam.

    Args:
        chunks: The chunks.
        folder: Where the shards go.
        settings: The ingest step's settings.
    """
    workers = remote_workers(settings.beam_options)
    if workers is not None:
        _run_remote(chunks, folder, settings, workers)
        return
    arguments = beam_arguments(settings.beam_options)
    # A runner that was chosen has ways of its own to use all cores.
    own = settings.beam_options or cores() == 1
    write = _WriteShards if own else _WriteShardsInProcesses
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        _ = (
            pipeline
            | "List chunks" >> beam.Create(chunks)
            | "Spread chunks" >> beam.Reshuffle()
            | "Write shards" >> beam.ParDo(write(str(folder), settings))
        )


def _run_remote(
    chunks: Sequence[Chunk], folder: Path, settings: IngestSettings, workers: RemoteWorkers
) -> None:
    """Leaves the chunks to workers on other machines, by way of a folder shared with them."""
    rows = [row for chunk in chunks for row in chunk.rows]
    check_reachable([location for row in rows for location in (row.location, row.mask)], workers)
    with shared_folder(workers) as shared:
        # In files, since the rows of a million photographs are more than a job may state.
        with tempfile.TemporaryDirectory() as temporary:
            given = [Path(temporary) / str(chunk.number) for chunk in chunks]
            for path, chunk in zip(given, chunks, strict=True):
                path.write_bytes(pickle.dumps(chunk))
            upload(given, f"{shared}/chunks")
        with pipeline_on(workers) as pipeline:
            write_remote(pipeline, [path.name for path in given], shared, settings)
        download_all(f"{shared}/written", folder)


def write_remote(
    pipeline: beam.Pipeline, names: Sequence[str], shared: str, settings: IngestSettings
) -> None:
    """Adds to a pipeline what workers on other machines do.

    Args:
        pipeline: The pipeline.
        names: The chunks' files in the folder `chunks` of the shared folder.
        shared: The shared folder; what is written goes into its folder `written`.
        settings: The ingest step's settings.
    """
    _ = (
        pipeline
        | "List chunks" >> beam.Create(names)
        | "Spread chunks" >> beam.Reshuffle()
        | "Write shards" >> beam.ParDo(_WriteShardsElsewhere(shared, settings))
    )


class _WriteShardsElsewhere(beam.DoFn):  # type: ignore[misc]
    """Writes a chunk's shards on a machine that does not have the step's folder."""

    def __init__(self, shared: str, settings: IngestSettings) -> None:
        self._shared = shared
        self._settings = settings

    def process(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            given, written = (Path(temporary) / part for part in ("given", "written"))
            given.mkdir()
            written.mkdir()
            (path,) = download([f"{self._shared}/chunks/{name}"], given)
            write_chunk_results(pickle.loads(path.read_bytes()), written, self._settings)
            upload(sorted(written.iterdir()), f"{self._shared}/written")


class _WriteShards(beam.DoFn):  # type: ignore[misc]
    """Writes a chunk's shards, so that no image bytes pass a shuffle."""

    def __init__(self, folder: str, settings: IngestSettings) -> None:
        self._folder = Path(folder)
        self._settings = settings

    def process(self, chunk: Chunk) -> None:
        write_chunk_results(chunk, self._folder, self._settings)


class _WriteShardsInProcesses(_WriteShards):
    """Leaves the chunks of a bundle to a process a core, and waits for them all.

    Python's lock lets threads read hardly more photographs a second than one does, and the
    processes of Beam's own DirectRunner each import Beam, which takes longer than to read 10,000.
    """

    def start_bundle(self) -> None:
        self._chunks: list[Chunk] = []

    def process(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)

    def finish_bundle(self) -> None:
        write = joblib.delayed(write_chunk_results)
        try:
            with joblib.parallel_config(
                "loky", initializer=exit_with_parent, initargs=(os.getpid(),)
            ):
                pace = Pace(_log, "photographs", sum(len(chunk.rows) for chunk in self._chunks))
                in_turn = joblib.Parallel(cores(), batch_size=1, return_as="generator")
                work = (write(chunk, self._folder, self._settings) for chunk in self._chunks)
                for chunk, _ in zip(self._chunks, in_turn(work), strict=True):
                    pace.add(len(chunk.rows))
        except BrokenProcessPool as error:
            raise StepError(
                "a process that read photographs was killed, perhaps out of memory: "
                'set ingest.beam_options to ["--runner=DirectRunner"] to read in one process'
            ) from error
