"""What became of a chunk's rows, left in a file beside its shards.

A Beam runner elsewhere gives nothing back but what its workers write.
"""

from pathlib import Path

import orjson

from components.ingest.rejection import Rejection
from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk, Entry, write_chunk
from darkroom.errors import StepError


def write_chunk_results(chunk: Chunk, folder: Path, settings: IngestSettings) -> None:
    """Writes a chunk's shards, and what became of its rows.

    Raises:
        StepError: A file cannot be written.
    """
    try:
        outcomes = write_chunk(chunk, folder, settings)
        # Entries are lists then; the names of their fields would be most of the file.
        document = [tuple(o) if isinstance(o, Entry) else o for o in outcomes]
        _path(folder, chunk).write_bytes(orjson.dumps(document))
    except OSError as error:
        # Of this type it reaches the step's command through Beam as its one line.
        raise StepError(f"cannot write {folder}: {error.strerror or error}") from error


def read_chunk_results(chunk: Chunk, folder: Path) -> list[Entry | Rejection]:
    """Reads what became of a chunk's rows, and removes the file."""
    path = _path(folder, chunk)
    outcomes = orjson.loads(path.read_bytes())
    path.unlink()
    return [Entry._make(o) if isinstance(o, list) else Rejection(**o) for o in outcomes]


def _path(folder: Path, chunk: Chunk) -> Path:
    return folder / f"outcome-{chunk.number:05d}.json"
