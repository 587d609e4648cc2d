"""A window's folder, local or in a bucket: workers write its shards, and one completes it."""

import dataclasses
import glob
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.shards.build_examples import build_examples
from components.ingest.shards.chunk import Chunk, write_chunk
from components.ingest.shards.group import Group, read_group, write_group
from components.ingest.shards.index import NOTHING
from components.ingest.shards.summary import examples_manifest
from components.ingest.sources.rows import Table
from components.ingest.streaming.stream_rows import ROWS_FILE, read_stream_rows
from darkroom.artifacts.examples import KIND
from darkroom.artifacts.manifest import MANIFEST, write_manifest
from darkroom.artifacts.rejected import REJECTED_FILE, write_rejections
from darkroom.errors import StepError
from darkroom.storage.files import clear_errors, download, exists, list_files, read_bytes, upload
from darkroom.storage.folders import delete_folder

_LINES = "lines.json"


def window_name(start: float, lines: Sequence[str]) -> str:
    """The name of a window's folder: its start in UTC (ISO 8601), and a digest of its lines.

    A window may close more than once: for what comes late, or where a stream was drained and
    started again. Each time has a folder of its own, and a worker that tries again the same one.

    >>> window_name(1_795_375_800, ["{}"])
    '20261122T193000Z-44136fa3'
    """
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{datetime.fromtimestamp(start, UTC):%Y%m%dT%H%M%SZ}-{digest[:8]}"


@dataclasses.dataclass(frozen=True)
class WindowFolder:
    """A folder that becomes an examples artifact.

    Attributes:
        out: Where the windows' folders stand, a path or a URI.
        name: Its name.
        settings: The ingest step's settings.
    """

    out: str
    name: str
    settings: IngestSettings

    @property
    def location(self) -> str:
        """Its final path."""
        return f"{self.out.rstrip('/')}/{self.name}"

    @property
    def _temporary(self) -> str:
        return f"{self.out.rstrip('/')}/.{self.name}.partial"

    def is_whole(self) -> bool:
        """Whether it has been finished."""
        return exists(f"{self.location}/{MANIFEST}")

    def begin(self, lines: Sequence[str]) -> Table:
        """Keeps the window's lines, and reads them as a table."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / _LINES).write_text(json.dumps(lines), encoding="utf-8")
            _put([folder / _LINES], self._temporary)
            return read_stream_rows(lines, folder, self.location, self.settings)

    def write(self, chunk: Chunk) -> None:
        """Writes a chunk's shards to a temporary folder."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_group(write_chunk(chunk, folder, self.settings), folder)
            _put(sorted(folder.iterdir()), self._temporary)

    def finish(self) -> dict[str, int]:
        """Makes the folder whole, once all its chunks are written.

        Returns:
            Number of examples by split.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            lines = json.loads(read_bytes(f"{self._temporary}/{_LINES}"))
            table = read_stream_rows(lines, folder, self.location, self.settings)
            with tempfile.TemporaryDirectory() as work:
                built = build_examples(
                    table.rows, NOTHING, self.settings, str(folder), Path(work), self._fetched
                )
            rejections = [*table.rejections, *built.rejections]
            built.summary.reasons.update(rejection.reason for rejection in table.rejections)
            write_rejections(folder / REJECTED_FILE, rejections)
            rows = f"{self.location}/{ROWS_FILE}"
            content = examples_manifest(built.summary, rows, table.columns, self.settings)
            write_manifest(folder, KIND, content)
            _put(
                [file for file in sorted(folder.iterdir()) if file.name != MANIFEST], self.location
            )
            _put([folder / MANIFEST], self.location)
        delete_folder(self._temporary)
        counts: dict[str, int] = content["counts"]
        return counts

    def _fetched(self, chunks: Sequence[Chunk], into: Path, *_: object) -> Iterator[Group]:
        """The chunks' shards, as `write_chunks` would leave them."""
        download([file.location for file in list_files(f"{glob.escape(self._temporary)}/*")], into)
        for chunk in chunks:
            yield read_group(into, chunk.number, chunk.total)


def lines_of_windows(out: str) -> set[str]:
    """The lines of all windows that are whole."""
    lines: set[str] = set()
    for manifest in list_files(f"{glob.escape(out.rstrip('/'))}/*/{MANIFEST}"):
        rows = manifest.location.removesuffix(MANIFEST) + ROWS_FILE
        lines.update(read_bytes(rows).decode().split("\n"))
    return lines


def _put(files: Sequence[Path], target: str) -> None:
    """Duplicates files to a folder anywhere."""
    with clear_errors(f"cannot write {target}", StepError):
        upload(files, target)
