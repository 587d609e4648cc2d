"""A window's folder, here or in a bucket: its shards written aside by many, then made whole."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.ingest.rejection import Rejection, write_rejections
from components.ingest.settings import IngestSettings
from components.ingest.shards.build_examples import assemble
from components.ingest.shards.chunk import Chunk, Entry
from components.ingest.shards.chunk_results import take_outcomes, write_outcomes
from components.ingest.shards.examples_manifest import examples_manifest
from components.ingest.sources.rows import Table
from components.ingest.splits.index import NOTHING
from components.ingest.streaming.stream_rows import ROWS_FILE, read_arrivals
from darkroom.artifacts.examples import KIND
from darkroom.artifacts.manifest import MANIFEST, write_manifest
from darkroom.errors import StepError
from darkroom.storage.paths import is_uri

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
        """Where it stands in the end."""
        return str(FileSystems.join(self.out, self.name))

    @property
    def _aside(self) -> str:
        return str(FileSystems.join(self.out, f".{self.name}.partial"))

    def is_whole(self) -> bool:
        """Whether it has been finished."""
        return bool(FileSystems.exists(FileSystems.join(self.location, MANIFEST)))

    def begin(self, lines: Sequence[str]) -> Table:
        """Keeps the window's lines, and reads them as a table."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / _LINES).write_text(json.dumps(lines), encoding="utf-8")
            _put(folder, [_LINES], self._aside)
            return read_arrivals(lines, folder, self.location, self.settings)

    def write(self, chunk: Chunk) -> None:
        """Writes a chunk's shards aside."""
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_outcomes(chunk, folder, self.settings)
            _put(folder, [file.name for file in folder.iterdir()], self._aside)

    def finish(self) -> dict[str, int]:
        """Makes the folder whole, once all its chunks are written.

        Returns:
            Number of examples by split.
        """
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            lines = json.loads(_read(FileSystems.join(self._aside, _LINES)))
            table = read_arrivals(lines, folder, self.location, self.settings)
            assembled = assemble(table.rows, NOTHING, self.settings, folder, self._fetched)
            rejections = [*table.rejections, *assembled.rejections]
            write_rejections(folder, rejections)
            rows = FileSystems.join(self.location, ROWS_FILE)
            content = examples_manifest(
                folder, rows, table.columns, assembled.entries, rejections, self.settings
            )
            write_manifest(folder, KIND, content)
            names = [file.name for file in folder.iterdir() if file.name != MANIFEST]
            _put(folder, [*sorted(names), MANIFEST], self.location)
        self._remove_aside()
        counts: dict[str, int] = content["counts"]
        return counts

    def _fetched(
        self, chunks: Sequence[Chunk], into: Path, *_: object
    ) -> Iterator[list[Entry | Rejection]]:
        """The chunks' shards, as `write_shards` would leave them."""
        for path in _files(FileSystems.join(self._aside, "*")):
            (into / Path(path).name).write_bytes(_read(path))
        for chunk in chunks:
            yield take_outcomes(chunk, into)

    def _remove_aside(self) -> None:
        if is_uri(self._aside):
            FileSystems.delete(_files(FileSystems.join(self._aside, "*")))
        else:
            shutil.rmtree(self._aside)


def lines_of_windows(out: str) -> set[str]:
    """The lines of all windows that are whole."""
    lines: set[str] = set()
    for manifest in _files(FileSystems.join(out, "*", MANIFEST)):
        rows = manifest.removesuffix(MANIFEST) + ROWS_FILE
        lines.update(_read(rows).decode().split("\n"))
    return lines


def _files(pattern: str) -> list[str]:
    (result,) = FileSystems.match([pattern])
    return [metadata.path for metadata in result.metadata_list]


def _read(path: str) -> bytes:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        data: bytes = file.read()
    return data


def _put(folder: Path, names: Sequence[str], target: str) -> None:
    """Copies files, in this order."""
    for name in names:
        path = FileSystems.join(target, name)
        try:
            with (
                (folder / name).open("rb") as source,
                FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as copy,
            ):
                shutil.copyfileobj(source, copy)
        except OSError as error:
            raise StepError(f"cannot write {path}: {error.strerror or error}") from error
