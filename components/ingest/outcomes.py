"""What became of a chunk's rows, left in a file beside its shards.

A Beam runner elsewhere gives nothing back but what its workers write.
"""

import json
from pathlib import Path

from components.artifacts.errors import StepError
from components.artifacts.manifest import write_json
from components.ingest.chunk import Chunk, Entry, write_chunk
from components.ingest.rejection import Rejection
from components.ingest.settings import IngestSettings


def write_outcomes(chunk: Chunk, folder: Path, settings: IngestSettings) -> None:
    """Writes a chunk's shards, and what became of its rows.

    Raises:
        StepError: A file cannot be written.
    """
    try:
        outcomes = write_chunk(chunk, folder, settings)
        # Not dataclasses.asdict, whose deep copies would cost as much as a photograph's hash.
        write_json(_path(folder, chunk), [vars(outcome) for outcome in outcomes])
    except OSError as error:
        # Of this type it reaches the step's command through Beam as its one line.
        raise StepError(f"cannot write {folder}: {error.strerror or error}") from error


def take_outcomes(chunk: Chunk, folder: Path) -> list[Entry | Rejection]:
    """Reads what became of a chunk's rows, and removes the file."""
    path = _path(folder, chunk)
    outcomes = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return [Rejection(**o) if "reason" in o else Entry(**o) for o in outcomes]


def _path(folder: Path, chunk: Chunk) -> Path:
    return folder / f"outcome-{chunk.number:05d}.json"
