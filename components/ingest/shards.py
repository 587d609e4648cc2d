"""Chunks spread over Beam's workers, and shards read again without what is not kept."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.artifacts.beam_options import beam_arguments
from components.artifacts.errors import StepError
from components.artifacts.manifest import write_json
from components.artifacts.tfrecord import read_records, write_record
from components.ingest.chunk import Chunk, Entry, write_chunk
from components.ingest.rejection import Rejection
from components.ingest.settings import IngestSettings

CHUNKS_WORTH_PROCESSES = 20
"""Some 10,000 photographs take as long as two processes take to start."""


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
    arguments = beam_arguments(settings.beam_options or _processes_for(chunks))
    with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
        _ = (
            pipeline
            | "List chunks" >> beam.Create(chunks)
            | "Spread chunks" >> beam.Reshuffle()
            | "Write shards" >> beam.ParDo(_WriteShards(str(folder), settings))
        )
    for chunk in chunks:
        path = _outcome_path(folder, chunk)
        outcomes = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        yield [Rejection(**o) if "reason" in o else Entry(**o) for o in outcomes]


def _processes_for(chunks: Sequence[Chunk]) -> list[str]:
    """Beam's own option for a process a core, where there is work enough to pay for starting it."""
    cores = len(os.sched_getaffinity(0))
    if cores == 1 or len(chunks) < CHUNKS_WORTH_PROCESSES:
        return []
    return ["--direct_running_mode=multi_processing", f"--direct_num_workers={cores}"]


class _WriteShards(beam.DoFn):  # type: ignore[misc]
    """Writes a chunk's shards, so that no image bytes pass a shuffle.

    What became of the rows is left in a file beside them: a runner elsewhere gives nothing back.
    """

    def __init__(self, folder: str, settings: IngestSettings) -> None:
        self._folder = folder
        self._settings = settings

    def process(self, chunk: Chunk) -> Iterator[int]:
        folder = Path(self._folder)
        try:
            outcomes = write_chunk(chunk, folder, self._settings)
        except OSError as error:
            # Of this type it reaches the step's command through Beam as its one line.
            raise StepError(f"cannot write {folder}: {error.strerror or error}") from error
        # Not dataclasses.asdict, whose deep copies would cost as much as a photograph's hash.
        write_json(_outcome_path(folder, chunk), [vars(outcome) for outcome in outcomes])
        yield len(outcomes)


def _outcome_path(folder: Path, chunk: Chunk) -> Path:
    return folder / f"outcome-{chunk.number:05d}.json"


def drop_records(shard: Path, dropped: set[int]) -> None:
    """Writes a shard anew without some of its records.

    Args:
        shard: The TFRecord file.
        dropped: Places of the records that go.
    """
    aside = shard.with_name(f".{shard.name}.partial")
    with aside.open("wb") as file:
        for place, record in enumerate(read_records(shard)):
            if place not in dropped:
                write_record(file, record)
    aside.replace(shard)
