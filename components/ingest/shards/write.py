"""The shards of chunks: written by a Beam runner's workers or, where there are few, right here."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, Entry, read_chunk_results, write_chunk_results
from darkroom.artifacts.rejected import Rejection
from darkroom.runtime.pace import Pace

_log = logging.getLogger("darkroom.ingest")

CHUNKS_WORTH_A_RUNNER = 5
"""Some 2,000 photographs are read in the time that a runner and its processes take to start."""


def write_shards(
    chunks: Sequence[Chunk], folder: Path, settings: IngestSettings
) -> Iterator[list[Entry | Rejection]]:
    """Writes every chunk's shards.

    Args:
        chunks: The chunks.
        folder: A folder that all workers share.
        settings: The ingest step's settings.

    Yields:
        What became of each chunk's rows, in order.
    """
    if settings.beam_options or len(chunks) >= CHUNKS_WORTH_A_RUNNER:
        # Imported where it is needed: that alone takes a second and more.
        from components.ingest.shards.beam_runner import run

        run(chunks, folder, settings)
    else:
        pace = Pace(_log, "photographs", sum(len(chunk.rows) for chunk in chunks))
        for chunk in chunks:
            write_chunk_results(chunk, folder, settings)
            pace.add(len(chunk.rows))
    for chunk in chunks:
        yield read_chunk_results(chunk, folder)
