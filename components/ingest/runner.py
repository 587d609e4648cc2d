"""Chunks spread over the workers of a Beam runner."""

import os
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import apache_beam as beam
import joblib
from apache_beam.options.pipeline_options import PipelineOptions

from components.artifacts.beam_options import beam_arguments
from components.artifacts.errors import StepError
from components.ingest.chunk import Chunk
from components.ingest.outcomes import write_outcomes
from components.ingest.processes import cores, end_with
from components.ingest.settings import IngestSettings


def run(chunks: Sequence[Chunk], folder: Path, settings: IngestSettings) -> None:
    """Writes every chunk's shards, and what became of its rows, through Beam.

    Args:
        chunks: The chunks.
        folder: A folder that all workers share.
        settings: The ingest step's settings.
    """
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
