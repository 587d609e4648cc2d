"""Rows in chunks of bearable size, which workers take one at a time."""

import dataclasses
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Sequence

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


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of files, as far as it takes to cut them: files and bytes by the power of two above.

    Attributes:
        files: Number of files by the exponent of the least power of two that is larger.
        bytes: Their bytes.
    """

    files: Counter[int] = dataclasses.field(default_factory=Counter)
    bytes: Counter[int] = dataclasses.field(default_factory=Counter)

    def add(self, sizes: Iterable[int]) -> None:
        """Adds files."""
        for size in sizes:
            self.files[size.bit_length()] += 1
            self.bytes[size.bit_length()] += size

    def merge(self, other: "Sizes") -> None:
        """Adds what another counts."""
        self.files.update(other.files)
        self.bytes.update(other.bytes)

    def within(self, most: int) -> int:
        """Bytes in all, where a file counts as `most`, a power of two, at the most."""
        power = most.bit_length() - 1
        small = sum(count for exponent, count in self.bytes.items() if exponent <= power)
        large = sum(count for exponent, count in self.files.items() if exponent > power)
        return small + large * most


@dataclasses.dataclass(frozen=True)
class Cut:
    """How a row of files is cut: into chunks of so many bytes, wherever a file begins in them.

    A file's chunk is that of its last byte, so that it follows from the bytes before it alone.

    Attributes:
        chunk: Bytes of a chunk.
        file: As how many bytes a larger file counts, a power of two; no more than a chunk, so
            that every chunk has one.
    """

    chunk: int
    file: int

    @classmethod
    def of(cls, sizes: Sizes, shard_bytes: int) -> "Cut":
        """How to cut files into parts of about equal bytes, of about `shard_bytes` at most."""
        total = sizes.bytes.total()
        chunk = min(shard_bytes, max(FEWEST_BYTES, total // _CHUNKS_OF_LITTLE))
        return cls(chunk, 1 << (chunk.bit_length() - 1))

    def count(self, sizes: Sizes) -> int:
        """Number of chunks of all files."""
        return -(-sizes.within(self.file) // self.chunk)

    def places(self, sizes: Iterable[int], before: int = 0) -> list[int]:
        """The chunk of each file.

        >>> Cut(chunk=100, file=64).places([40, 40, 40, 500])
        [0, 0, 1, 1]

        Args:
            sizes: Bytes of the files, in a row.
            before: Bytes of those before them, as `Sizes.within` counts them.
        """
        counted = (min(size, self.file) for size in sizes)
        ends = itertools.accumulate(counted, initial=before)
        return [(end - 1) // self.chunk for end in itertools.islice(ends, 1, None)]


def cut_rows(
    rows: Sequence[Row],
    ordinals: Sequence[int],
    sizes: Sequence[int],
    cut: Cut,
    before: int,
    first: int,
    total: int,
) -> list[Chunk]:
    """Divides rows into chunks; rows that begin or end within one give a part of it.

    Args:
        rows: The rows.
        ordinals: Their places among all rows.
        sizes: Bytes that they count as.
        cut: How all rows are cut.
        before: Bytes of the rows before them.
        first: Number of groups before all chunks.
        total: Number of groups.
    """
    places = cut.places(sizes, before)
    chunks = []
    start = 0
    for place, group in itertools.groupby(places):
        end = start + sum(1 for _ in group)
        chunks.append(Chunk(first + place, total, rows[start:end], ordinals[start:end]))
        start = end
    return chunks


def chunks_of(rows: Sequence[Row], settings: IngestSettings) -> list[Chunk]:
    """Divides all rows into chunks of about equal bytes; equal files give equal chunks."""
    sizes, total = list(map(size_of, rows)), Sizes()
    total.add(sizes)
    cut = Cut.of(total, settings.shard_bytes)
    return cut_rows(rows, range(len(rows)), sizes, cut, 0, 0, cut.count(total))


def size_of(row: Row) -> int:
    """Bytes that a row counts as, as far as they are known without asking a bucket."""
    return max(LEAST_BYTES_A_ROW, _file_size(row))


def _file_size(row: Row) -> int:
    if is_uri(row.location):
        return row.size or _BYTES_AFAR
    try:
        # A Path would cost more than the call.
        return os.stat(row.location).st_size  # noqa: PTH116
    except OSError:  # reading it says why
        return 0
