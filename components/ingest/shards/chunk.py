"""A chunk of rows: its photographs are opened, checked and written as shards of its own."""

import contextlib
import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import orjson
from threadpoolctl import threadpool_limits

from components.ingest.images.tiles import Tiled, labelled_by_mask, read_tiled, tiles_of
from components.ingest.settings import IngestSettings
from components.ingest.shards.entry import Entry, entries_table, write_table
from components.ingest.shards.group import Group, numbered
from components.ingest.sources.rows import Row
from components.ingest.splits.split import group_key, split_of
from darkroom.artifacts import examples
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.errors import StepError
from darkroom.images.photograph import Limits, Photograph, read_photograph
from darkroom.records.example_proto import FeatureValue, serialized_example
from darkroom.records.tfrecord import framed
from darkroom.sources.storage import read_file
from darkroom.storage.atomic import os_reason
from darkroom.storage.files import read_from
from darkroom.storage.paths import is_uri

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Rows that one worker turns into one shard a split.

    Attributes:
        number: Place among the groups.
        total: Number of groups.
        rows: The rows.
        ordinals: Their places among all rows.
    """

    number: int
    total: int
    rows: Sequence[Row]
    ordinals: Sequence[int]


def joined(parts: Iterable[Chunk]) -> Chunk:
    """A chunk out of the parts of it that blocks of rows gave, in the order of its rows."""
    parts = sorted(parts, key=lambda part: list(part.ordinals[:1]))
    rows = [row for part in parts for row in part.rows]
    ordinals = [ordinal for part in parts for ordinal in part.ordinals]
    return Chunk(parts[0].number, parts[0].total, rows, ordinals)


class Shard:
    """A shard that is being written; its file is made with its first record.

    Args:
        path: Where it goes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()

    def write(self, record: bytes) -> None:
        """Appends a record."""
        if self._file is None:
            self._file = self.path.open("wb")
        frame = framed(record)
        self._digest.update(frame)
        self._file.write(frame)

    def close(self) -> str | None:
        """Completes the file; gives its SHA-256, or None where there is no record."""
        if self._file is None:
            return None
        self._file.close()
        return self._digest.hexdigest()


@contextlib.contextmanager
def open_shards(folder: Path, number: int, total: int) -> Iterator[dict[str, Shard]]:
    """Gives a group's shards to write, by split; their files are whole at its end."""
    shards = {
        split: Shard(folder / numbered(split, number, total, "tfrecord"))
        for split in examples.SPLITS
    }
    try:
        yield shards
    finally:
        for shard in shards.values():
            shard.close()


def write_chunk(chunk: Chunk, folder: Path, settings: IngestSettings) -> Group:
    """Writes a chunk's shards, in the order of its rows, and what became of each row.

    Written again, the shards have the same names and bytes.

    Args:
        chunk: The rows.
        folder: Where the files go.
        settings: The ingest step's settings.

    Raises:
        StepError: A file cannot be written.
    """
    try:
        return _write_chunk(chunk, folder, settings)
    except OSError as error:
        # Of this type it reaches the step's command through Beam as its one line.
        raise StepError(f"cannot write {folder}: {os_reason(error)}") from error


def _write_chunk(chunk: Chunk, folder: Path, settings: IngestSettings) -> Group:
    number, total = chunk.number, chunk.total
    held: list[tuple[int, Entry, bytes]] = []
    rejected: list[tuple[int, Rejection]] = []
    # The matrices of a photograph's hashes are small: more threads than one only wait.
    with (
        open_shards(folder, number, total) as shards,
        threadpool_limits(1, user_api="blas"),
    ):
        for ordinal, row in zip(chunk.ordinals, chunk.rows, strict=True):
            outcome, records = _examine(row, settings)
            if isinstance(outcome, Rejection):
                rejected.append((ordinal, outcome))
                continue
            for record in records:
                shards[outcome.split].write(record)
            held.append((ordinal, outcome, row_as_json(row)))
    digests = {split: digest for split, shard in shards.items() if (digest := shard.close())}
    entries = folder / numbered("entries", number, total, "parquet")
    write_table(with_rows(held), entries)
    refused = folder / numbered("rejected", number, total, "jsonl")
    refused.write_bytes(b"".join(orjson.dumps(pair) + b"\n" for pair in rejected))
    opened = sum(outcome.reason not in _NOT_OPENED for _, outcome in rejected)
    return Group(
        number,
        total,
        str(entries),
        {split: str(shards[split].path) for split in digests},
        digests,
        str(refused),
        read=len(held) + opened,
    )


_NOT_OPENED = frozenset({Reason.MISSING_FILE, Reason.UNREADABLE_FILE})


def read_rejected(path: str) -> list[tuple[int, Rejection]]:
    """Reads the refused rows that `write_chunk` wrote, with their ordinals."""
    with read_from(path) as local, local.open("rb") as file:
        pairs = map(orjson.loads, file)
        return [(ordinal, Rejection(**fields)) for ordinal, fields in pairs]


def row_as_json(row: Row) -> bytes:
    """A row as a rejection shows it, should its photograph turn out to be a copy."""
    fields = {"image": row.image, "location": row.location, "label": row.label, **row.columns}
    return orjson.dumps(fields)


def with_rows(held: Sequence[tuple[int, Entry, bytes]]) -> "pa.Table":
    """A table of entries with the column `row`, from ordinals, entries and rows as JSON."""
    import pyarrow as pa

    table = entries_table([part[0] for part in held], [part[1] for part in held])
    return table.append_column("row", pa.array([part[2] for part in held], pa.binary()))


def _examine(row: Row, settings: IngestSettings) -> tuple[Entry | Rejection, Iterable[bytes]]:
    """What becomes of a row, and the records of its examples, made one at a time."""
    labels = settings.labels or ()
    tiled: Tiled | None = None
    try:
        if settings.labels is not None and row.mask is None:
            _check_labels(row, labels)
        data = read_file(row.location)
        limits = Limits(settings.max_pixels, settings.max_aspect)
        if settings.tiles is None:
            photograph = read_photograph(data, limits)
        else:
            tiled = read_tiled(data, row.mask, limits, settings.tiles, labels)
            photograph = tiled.photograph
        split = _split(row, photograph, settings)
    except RejectedError as error:
        mask = {"mask": row.mask} if row.mask else {}
        fields = {"image": row.image, "label": row.label, **mask, **row.columns}
        return Rejection(fields, error.reason, error.detail), ()
    image_id = hashlib.sha256(data).hexdigest()
    entry = _entry(row, photograph, image_id, split)
    if tiled is None:
        return entry, [_record(row, photograph, image_id)]
    return (
        _entry_of_tiles(entry, row, tiled, labels),
        itertools.starmap(_record, tiles_of(row, tiled, image_id, labels)),
    )


def _split(row: Row, photograph: Photograph, settings: IngestSettings) -> str:
    if row.split is not None and not row.is_pseudo_labelled:
        return row.split
    key = photograph.perceptual_hash if row.group is None else row.group
    split = split_of(key, settings.salt, settings.split, row.splits)
    if row.is_pseudo_labelled and split != "train":
        # A person may label it yet, and then it is tested on.
        detail = f"by its hash it belongs to {split}, and a label that a model gave is for train"
        raise RejectedError(Reason.PSEUDO_LABEL_HELD_OUT, detail)
    return split


def _check_labels(row: Row, allowed: Iterable[str]) -> None:
    for label in row.labels or (row.label,):
        if label not in allowed:
            raise RejectedError(Reason.UNKNOWN_LABEL, f"'{label}' is not in ingest.labels")


def fingerprint(row: Row) -> str | None:
    """A digest that changes when a row or its file does; None where the file says no time."""
    facts = (row.image, row.label, row.labels, row.split, row.splits, row.group, row.columns)
    if is_uri(row.location):
        if not row.version:
            return None
        return hashlib.sha256(
            repr((*facts, row.location, row.mask, row.version)).encode()
        ).hexdigest()
    try:
        # A Path would cost more than the call.
        state = os.stat(row.location)  # noqa: PTH116
        mask = os.stat(row.mask) if row.mask else None  # noqa: PTH116
    except OSError:
        return None
    written = repr((*facts, state.st_size, state.st_mtime_ns))
    if mask is not None:
        written += repr((row.mask, mask.st_size, mask.st_mtime_ns))
    return hashlib.sha256(written.encode()).hexdigest()


def _entry(row: Row, photograph: Photograph, image_id: str, split: str) -> Entry:
    return Entry(
        image=row.image,
        label=row.label,
        labels=row.labels,
        split=split,
        image_id=image_id,
        perceptual_hash=photograph.perceptual_hash,
        height=photograph.height,
        width=photograph.width,
        file_format=photograph.file_format,
        converted=photograph.converted,
        brightness=photograph.brightness,
        contrast=photograph.contrast,
        sharpness=photograph.sharpness,
        fingerprint=fingerprint(row),
        copy_hashes=photograph.copy_hashes,
        pseudo_labelled=row.is_pseudo_labelled,
        group_key=None if row.group is None else group_key(row.group),
    )


def _entry_of_tiles(entry: Entry, row: Row, tiled: Tiled, labels: Sequence[str]) -> Entry:
    if tiled.values:
        row = labelled_by_mask(row, max(tiled.values), labels)
    return entry._replace(
        label=row.label,
        labels=row.labels,
        converted=entry.converted or len(tiled.boxes) > 1,
        examples=len(tiled.boxes),
        tile_values=" ".join(map(str, tiled.values)),
    )


def _record(row: Row, photograph: Photograph, image_id: str) -> bytes:
    features: dict[str, FeatureValue] = {
        examples.BRIGHTNESS: photograph.brightness,
        examples.CONTRAST: photograph.contrast,
        examples.SHARPNESS: photograph.sharpness,
        **row.columns,
        examples.IMAGE_BYTES: photograph.image_bytes,
        examples.IMAGE_ID: image_id,
        examples.IMAGE_PATH: row.image,
        examples.LABEL: row.label,
        examples.HEIGHT: photograph.height,
        examples.WIDTH: photograph.width,
    }
    if row.labels:
        features[examples.LABELS] = row.labels
    return serialized_example(features)
