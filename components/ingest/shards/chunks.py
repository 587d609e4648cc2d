"""Rows in chunks of bearable size, which workers take one at a time."""

import os
from collections.abc import Iterator, Sequence

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk
from components.ingest.sources.rows import Row
from darkroom.storage.paths import is_uri

BYTES_A_CHUNK = 100_000_000
"""Of the files as they come; its shards hold about as many."""
ROWS_A_CHUNK = 512
"""Of small photographs, so that all workers are kept busy."""
TILED_ROWS_A_CHUNK = 8
"""Of images so large that they are cut into tiles."""
_BYTES_AFAR = 1_000_000
"""Assumed size of a file in a bucket; its real size would take a request."""


def chunks_of(rows: Sequence[Row], settings: IngestSettings) -> list[Chunk]:
    """Divides rows into chunks of some `BYTES_A_CHUNK`; equal files give equal chunks."""
    parts = list(_parts(rows, TILED_ROWS_A_CHUNK if settings.tiles else ROWS_A_CHUNK))
    return [Chunk(number, len(parts), part) for number, part in enumerate(parts)]


def _parts(rows: Sequence[Row], most: int) -> Iterator[list[Row]]:
    part: list[Row] = []
    held = 0
    for row in rows:
        size = _size(row.location)
        if part and (len(part) == most or held + size > BYTES_A_CHUNK):
            yield part
            part, held = [], 0
        part.append(row)
        held += size
    if part:
        yield part


def _size(location: str) -> int:
    if is_uri(location):
        return _BYTES_AFAR
    try:
        # A Path would cost more than the call.
        return os.stat(location).st_size  # noqa: PTH116
    except OSError:  # reading it says why
        return 0
