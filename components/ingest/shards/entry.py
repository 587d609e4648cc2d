"""What is known of a photograph once its example is written, one and as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.storage.files import read_from

if TYPE_CHECKING:
    import pyarrow as pa

GONE = -1
"""The ordinal of an entry whose row is no longer there."""


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
        pseudo_labelled: Whether a model gave its label.
        group_key: What is equal for all of its group, 64 bits; None without groups.
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
    pseudo_labelled: bool = False
    group_key: int | None = None


def entry_schema() -> "pa.Schema":
    """A table of entries: those of sightings first, then all else; a row each."""
    import pyarrow as pa

    from components.ingest.splits.sightings import SIGHTING_FIELDS

    return pa.schema(
        [
            *SIGHTING_FIELDS,
            pa.field("image", pa.string()),
            pa.field("height", pa.int32()),
            pa.field("width", pa.int32()),
            pa.field("file_format", pa.string()),
            pa.field("converted", pa.bool_()),
            pa.field("brightness", pa.float64()),
            pa.field("contrast", pa.float64()),
            pa.field("sharpness", pa.float64()),
            pa.field("fingerprint", pa.binary(32)),
            pa.field("examples", pa.int32()),
            pa.field("merged_labels", pa.list_(pa.string())),
        ]
    )


def entries_table(ordinals: Sequence[int], entries: Sequence[Entry]) -> "pa.Table":
    """Entries as a table.

    Args:
        ordinals: The place of each one's row among all rows, or `GONE`.
        entries: The entries.
    """
    import pyarrow as pa

    columns: dict[str, Sequence[Any]] = dict(
        zip(Entry._fields, zip(*entries, strict=True), strict=bool(entries))
    )
    if not entries:
        return entry_schema().empty_table()
    columns["ordinal"] = ordinals
    columns["image_id"] = [bytes.fromhex(digest) for digest in columns["image_id"]]
    columns["perceptual_hash"] = [int(digits, 16) for digits in columns["perceptual_hash"]]
    columns["copy_hashes"] = [bytes.fromhex(digits) for digits in columns["copy_hashes"]]
    columns["fingerprint"] = [
        None if mark is None else bytes.fromhex(mark) for mark in columns["fingerprint"]
    ]
    schema = entry_schema()
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def entries_of(table: "pa.Table") -> list[Entry]:
    """The entries of a table; other columns are left out."""
    rows = table.select(Entry._fields).to_pylist()
    return [
        Entry(
            **row
            | {
                "image_id": row["image_id"].hex(),
                "perceptual_hash": f"{row['perceptual_hash']:016x}",
                "copy_hashes": row["copy_hashes"].hex(),
                "fingerprint": row["fingerprint"] and row["fingerprint"].hex(),
            }
        )
        for row in rows
    ]


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> "pa.Table":
    """Reads a Parquet file anywhere, or some of its columns; pyarrow's data sets import slowly."""
    import pyarrow.parquet as pq

    with read_from(str(path)) as local, pq.ParquetFile(local) as file:
        return file.read(None if columns is None else list(columns))


def write_table(table: "pa.Table", path: Path) -> None:
    """Writes a table as Parquet; digests and hashes do not compress, all else is short."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", use_dictionary=["label", "split"])
