"""A chunk of rows: its photographs are opened, checked and written as shards of its own.

What became of its rows is written beside the shards: a remote Beam runner returns nothing else.
"""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import orjson
from threadpoolctl import threadpool_limits

from components.ingest.images.photograph import Limits, Photograph, read_photograph
from components.ingest.images.tiles import Tiled, labelled_by_mask, read_tiled, tiles_of
from components.ingest.settings import IngestSettings
from components.ingest.sources.rows import Row
from components.ingest.sources.storage import read_file
from components.ingest.splits.split import split_of
from darkroom.artifacts import examples
from darkroom.artifacts.rejected import Reason, RejectedError, Rejection
from darkroom.errors import StepError
from darkroom.records.example_proto import FeatureValue, serialized_example
from darkroom.records.tfrecord import write_record
from darkroom.storage.atomic import os_reason


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


class Entry(NamedTuple):
    """What is known of a photograph once its example is written; its bytes are in the shard.

    A photograph that is cut into tiles makes one example a tile, all in a row in one shard; all
    else that is said here is of the whole photograph.

    Attributes:
        image: The image as the input names it.
        label: Its label; with a label mask, that of the mask's maximum.
        labels: All its labels, where photographs have several.
        split: The split it is in.
        image_id: Content digest.
        perceptual_hash: 64 bits in hexadecimal.
        height: Pixels.
        width: Pixels.
        file_format: Format it came in.
        converted: Whether its bytes were encoded again.
        brightness: Mean grey value.
        contrast: Standard deviation of grey values.
        sharpness: Variance of the Laplacian.
        fingerprint: Of the row and its files' size and time; what has it need not be read again.
        examples: Number of its examples.
        tile_values: A label mask's maximum in each tile, in order, separated by spaces.
        merged_labels: The labels of all its copies, where its example has them in place of its own.
        copy_hashes: Perceptual hashes of what copies of it may be, in hexadecimal.
    """

    image: str
    label: str
    labels: Sequence[str]
    split: str
    image_id: str
    perceptual_hash: str
    height: int
    width: int
    file_format: str
    converted: bool
    brightness: float
    contrast: float
    sharpness: float
    fingerprint: str | None
    examples: int = 1
    tile_values: str = ""
    merged_labels: Sequence[str] = ()
    copy_hashes: str = ""


def write_chunk(chunk: Chunk, folder: Path, settings: IngestSettings) -> list[Entry | Rejection]:
    """Writes a chunk's examples as `<split>-*.tfrecord`, in the order of its rows.

    Written again, the files have the same names and bytes.

    Args:
        chunk: The rows.
        folder: Where the shards go.
        settings: The ingest step's settings.

    Returns:
        What became of every row.
    """
    outcomes: list[Entry | Rejection] = []
    with ExitStack() as stack:
        shards = {
            split: stack.enter_context((folder / shard_name(split, chunk)).open("wb"))
            for split in examples.SPLITS
        }
        # The matrices of a photograph's hashes are small: more threads than one only wait.
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        for row in chunk.rows:
            outcome, records = _examine(row, settings)
            if isinstance(outcome, Entry):
                for record in records:
                    write_record(shards[outcome.split], record)
            outcomes.append(outcome)
    return outcomes


def shard_name(split: str, chunk: Chunk) -> str:
    """File name of a chunk's shard, such as `train-00000-of-00007.tfrecord`."""
    return f"{split}-{chunk.number:05d}-of-{chunk.total:05d}.tfrecord"


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
    except RejectedError as error:
        mask = {"mask": row.mask} if row.mask else {}
        fields = {"image": row.image, "label": row.label, **mask, **row.columns}
        return Rejection(fields, error.reason, error.detail), ()
    image_id = hashlib.sha256(data).hexdigest()
    key = photograph.perceptual_hash if row.group is None else row.group
    split = row.split or split_of(key, settings.salt, settings.split, row.splits)
    entry = _entry(row, photograph, image_id, split)
    if tiled is None:
        return entry, [_record(row, photograph, image_id)]
    return (
        _entry_of_tiles(entry, row, tiled, labels),
        itertools.starmap(_record, tiles_of(row, tiled, image_id, labels)),
    )


def _check_labels(row: Row, allowed: Iterable[str]) -> None:
    for label in row.labels or (row.label,):
        if label not in allowed:
            raise RejectedError(Reason.UNKNOWN_LABEL, f"'{label}' is not in ingest.labels")


def fingerprint(row: Row) -> str | None:
    """A digest that changes when a row or its file does; None where the file says no time."""
    try:
        # A Path would cost more than the call.
        state = os.stat(row.location)  # noqa: PTH116
        mask = os.stat(row.mask) if row.mask else None  # noqa: PTH116
    except OSError:
        return None
    facts = (row.image, row.label, row.labels, row.split, row.splits, row.group, row.columns)
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
        raise StepError(f"cannot write {folder}: {os_reason(error)}") from error


def read_chunk_results(chunk: Chunk, folder: Path) -> list[Entry | Rejection]:
    """Reads what became of a chunk's rows, and removes the file."""
    path = _path(folder, chunk)
    outcomes = orjson.loads(path.read_bytes())
    path.unlink()
    return [Entry._make(o) if isinstance(o, list) else Rejection(**o) for o in outcomes]


def _path(folder: Path, chunk: Chunk) -> Path:
    return folder / f"outcome-{chunk.number:05d}.json"
