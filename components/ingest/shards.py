"""Chunks spread over Beam's workers."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import apache_beam as beam
import joblib
from apache_beam.options.pipeline_options import PipelineOptions

from components.artifacts.beam_options import beam_arguments
from components.artifacts.errors import StepError
from components.ingest.chunk import Chunk, Entry
from components.ingest.outcomes import take_outcomes, write_outcomes
from components.ingest.processes import cores, end_with
from components.ingest.rejection import Rejection
from components.ingest.settings import IngestSettings

CHUNKS_WORTH_PROCESSES = 4
"""Some 2,000 photographs take as long as processes take to start."""


def write_shards(
    chunks: Sequence[Chunk], folder: Path, settings: IngestSettings
) -> Iterator[list[Entry | Rejection]]:
    """Writes every chunk's shards through Beam.

    Args:
        chunks: The chunks.
        folder: A folder that all workers share.
        settings: The ingest step's settings.

    Yields:
        What became of each chunk's rows, in order.
    """
    arguments = beam_arguments(settings.beam_options)
    # A runner that was chosen has ways of its own to use all cores.
    many = len(chunks) > CHUNKS_WORTH_PROCESSES and cores() > 1
    spread = many and not settings.beam_options
    write = _WriteShardsInProcesses if spread else _WriteShards
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        _ = (
            pipeline
            | "List chunks" >> beam.Create(chunks)
            | "Spread chunks" >> beam.Reshuffle()
            | "Write shards" >> beam.ParDo(write(str(folder), settings))
        )
    for chunk in chunks:
        yield take_outcomes(chunk, folder)


class _WriteShards(beam.DoFn):  # type: ignore[misc]
    """Writes a chunk's shards, so that no image bytes pass a shuffle."""

    def __init__(self, folder: str, settings: IngestSettings) -> None:
        self._folder = Path(folder)
        self._settings = settings

    def process(self, chunk: Chunk) -> None:
        write_outcomes(chunk, self._folder, self._settings)


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
        write = joblib.delayed(write_outcomes)
        try:
            with joblib.parallel_config("loky", initializer=end_with, initargs=(os.getpid(),)):
                joblib.Parallel(cores(), batch_size=1)(
                    write(chunk, self._folder, self._settings) for chunk in self._chunks
                )
        except BrokenProcessPool as error:
            raise StepError(
                "a process that read photographs was killed, for want of memory perhaps: "
                'set ingest.beam_options to ["--runner=DirectRunner"] to read in one process'
            ) from error
