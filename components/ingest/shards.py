"""The work on a chunk of rows: each chunk writes its own shards, so no image bytes are shuffled."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.artifacts import examples
from components.artifacts.example_proto import serialized_example
from components.artifacts.manifest import write_json
from components.artifacts.tfrecord import write_record
from components.ingest.photograph import read_photograph
from components.ingest.rejection import Reason, RejectedError, Rejection
from components.ingest.settings import IngestSettings
from components.ingest.sources import Row
from components.ingest.split import split_of
from components.ingest.statistics import Statistics


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Rows that one worker turns into one shard a split.

    Attributes:
        number: Place among the chunks.
        total: Number of chunks.
        rows: The rows.
    """

    number: int
    total: int
    rows: list[Row]


class WriteShards(beam.DoFn):  # type: ignore[misc]
    """Opens, checks and writes a chunk's photographs; yields the number written.

    A chunk that is tried again writes the same files with the same bytes.
    """

    def __init__(self, folder: str, settings: IngestSettings) -> None:
        self._folder = folder
        self._settings = settings

    def process(self, chunk: Chunk) -> Iterator[int]:
        """Writes `<split>-*.tfrecord`, and the chunk's outcome beside them."""
        folder = Path(self._folder)
        statistics = Statistics()
        rejections: list[Rejection] = []
        with ExitStack() as stack:
            shards = {
                split: stack.enter_context(
                    (folder / shard_name(split, chunk.number, chunk.total)).open("wb")
                )
                for split in examples.SPLITS
            }
            for row in chunk.rows:
                try:
                    self._write(row, shards, statistics)
                except RejectedError as error:
                    fields = {"image": row.image, "label": row.label, **row.columns}
                    rejections.append(Rejection(fields, error.reason, error.detail))
        write_outcome(folder / f"outcome-{chunk.number:05d}.json", statistics, rejections)
        yield len(chunk.rows) - len(rejections)

    def _write(self, row: Row, shards: Mapping[str, BinaryIO], statistics: Statistics) -> None:
        settings = self._settings
        if settings.labels is not None and row.label not in settings.labels:
            raise RejectedError(Reason.UNKNOWN_LABEL, f"'{row.label}' is not in ingest.labels")
        data = read_file(row.location)
        photograph = read_photograph(data)
        image_id = hashlib.sha256(data).hexdigest()
        key = str(row.columns[settings.group_by]) if settings.group_by else image_id
        split = split_of(key, settings.salt, settings.split)
        features = {
            **row.columns,
            examples.IMAGE_BYTES: photograph.image_bytes,
            examples.IMAGE_ID: image_id,
            examples.IMAGE_PATH: row.image,
            examples.LABEL: row.label,
            examples.HEIGHT: photograph.height,
            examples.WIDTH: photograph.width,
        }
        write_record(shards[split], serialized_example(features))
        statistics.add(photograph, split, row.label)


def shard_name(split: str, number: int, total: int) -> str:
    """File name of a shard, such as `train-00000-of-00007.tfrecord`."""
    return f"{split}-{number:05d}-of-{total:05d}.tfrecord"


def read_file(location: str) -> bytes:
    """The bytes at a local path, or at a URI through Beam's file systems.

    Raises:
        RejectedError: There is no such file, or it cannot be read.
    """
    try:
        if "://" not in location:
            return Path(location).read_bytes()
        with FileSystems.open(location, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            data: bytes = file.read()
            return data
    except FileNotFoundError:
        raise RejectedError(Reason.MISSING_FILE, "no such file") from None
    except (OSError, BeamIOError, ValueError) as error:
        raise RejectedError(Reason.UNREADABLE_FILE, str(error)) from None


def write_outcome(path: Path, statistics: Statistics, rejections: Iterable[Rejection]) -> None:
    """Leaves what became of a chunk's rows where the main process finds it."""
    listed = [dataclasses.asdict(rejection) for rejection in rejections]
    write_json(path, {"statistics": statistics.to_json(), "rejections": listed})


def take_outcomes(folder: Path) -> Iterator[tuple[Statistics, list[Rejection]]]:
    """Reads and removes the chunks' outcomes, in order."""
    for path in sorted(folder.glob("outcome-*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        rejections = [Rejection(**rejection) for rejection in document["rejections"]]
        yield Statistics.from_json(document["statistics"]), rejections
