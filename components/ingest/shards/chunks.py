"""Rows in chunks of bearable size, which workers take one at a time."""

import bisect
import itertools
import os
from collections.abc import Sequence

from components.ingest.settings import IngestSettings
from components.ingest.shards.chunk import Chunk
from components.ingest.sources.rows import Row
from darkroom.storage.paths import is_uri

_CHUNKS_OF_LITTLE = 64
"""Chunks of what is less than as many full shards, so that as many workers have something to do."""
FEWEST_BYTES = 4_000_000
LEAST_BYTES_A_ROW = 8_000
"""A small photograph takes as long to read as so many bytes of a large one."""
_BYTES_AFAR = 1_000_000
"""Assumed size of a file in a bucket; its real size would take a request."""


def cut(sizes: Sequence[int], shard_bytes: int) -> list[int]:
    """Where files are cut into parts of about equal bytes: the end of each part.

    Args:
        sizes: Bytes of each file, in order.
        shard_bytes: Most bytes of a part, but for a single file that has more.

    >>> cut([40_000_000] * 5, 100_000_000)
    [2, 4, 5]
    """
    ends = list(itertools.accumulate(max(size, LEAST_BYTES_A_ROW) for size in sizes))
    if not ends:
        return []
    most = min(shard_bytes, max(FEWEST_BYTES, ends[-1] // _CHUNKS_OF_LITTLE))
    cuts: list[int] = []
    start = 0
    while start < len(ends):
        taken = ends[start - 1] if start else 0
        start = max(start + 1, bisect.bisect_right(ends, taken + most, start))
        cuts.append(start)
    return cuts


def chunks_of(
    rows: Sequence[Row],
    settings: IngestSettings,
    ordinals: Sequence[int] | None = None,
    before: int = 0,
    after: int = 0,
) -> list[Chunk]:
    """Divides rows into chunks of about equal bytes; equal files give equal chunks.

    Args:
        rows: The rows.
        settings: The ingest step's settings.
        ordinals: Their places among all rows; unset, they are all rows.
        before: Number of groups that come before them.
        after: Number of groups that come after them.
    """
    places = range(len(rows)) if ordinals is None else ordinals
    ends = cut([size_of(row) for row in rows], settings.shard_bytes)
    total = before + len(ends) + after
    return [
        Chunk(before + number, total, rows[start:end], places[start:end])
        for number, (start, end) in enumerate(itertools.pairwise([0, *ends]))
    ]


def size_of(row: Row) -> int:
    """Bytes of a row's file, as far as they are known without asking a bucket."""
    if is_uri(row.location):
        return row.size or _BYTES_AFAR
    try:
        # A Path would cost more than the call.
        return os.stat(row.location).st_size  # noqa: PTH116
    except OSError:  # reading it says why
        return 0
