"""Chunks' shards written in this process or, where there are many, by a process a core."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, write_chunk
from components.ingest.shards.group import Group
from components.ingest.shards.processes import cores, exit_with_parent
from darkroom.errors import StepError
from darkroom.runtime.pace import Pace

_log = logging.getLogger("darkroom.ingest")

_ROWS_WORTH_PROCESSES = 1000
"""So many photographs are read in the time that processes take to start."""


def write_chunks(
    chunks: Sequence[Chunk], folder: Path, settings: IngestSettings
) -> Iterator[Group]:
    """Writes every chunk's shards.

    Args:
        chunks: The chunks.
        folder: Where they go.
        settings: The ingest step's settings.

    Yields:
        The group of each chunk, in order.
    """
    rows = sum(len(chunk.rows) for chunk in chunks)
    pace = Pace(_log, "photographs", rows)
    if cores() > 1 and len(chunks) > 1 and rows >= _ROWS_WORTH_PROCESSES:
        groups = _in_processes(chunks, folder, settings)
    else:
        groups = (write_chunk(chunk, folder, settings) for chunk in chunks)
    for chunk, group in zip(chunks, groups, strict=True):
        pace.add(len(chunk.rows))
        yield group


def _in_processes(
    chunks: Sequence[Chunk], folder: Path, settings: IngestSettings
) -> Iterator[Group]:
    """Leaves the chunks to a process a core: Python's lock lets threads read hardly more."""
    from concurrent.futures.process import BrokenProcessPool

    import joblib

    write = joblib.delayed(write_chunk)
    try:
        with joblib.parallel_config("loky", initializer=exit_with_parent, initargs=(os.getpid(),)):
            in_turn = joblib.Parallel(cores(), batch_size=1, return_as="generator")
            yield from in_turn(write(chunk, folder, settings) for chunk in chunks)
    except BrokenProcessPool as error:
        raise StepError(
            "a process that read photographs was killed, perhaps out of memory: run it on a "
            "machine with more, or with fewer cores (`taskset -c 0` leaves it one)"
        ) from error
