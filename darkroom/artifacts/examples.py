"""The examples artifact: names of its features, splits and shards, and what its manifest holds."""

import dataclasses
import json
import unicodedata
from pathlib import Path
from typing import Any

from darkroom.artifacts.data_root import RECORDS
from darkroom.artifacts.manifest import folder_digest, read_manifest
from darkroom.records.shards import list_shards

KIND = "examples"
SPLITS = ("train", "valid", "test")

IMAGE_BYTES = "image_bytes"
"""Encoded image bytes that TensorFlow's decoder reads upright."""
IMAGE_ID = "image_id"
"""SHA-256 of the photograph as it came in, in hexadecimal."""
IMAGE_PATH = "image_path"
"""Where the photograph came from, for people."""
LABEL = "label"
LABELS = "labels"
"""All labels of a photograph, where photographs have several."""
HEIGHT = "height"
WIDTH = "width"
PSEUDO_LABELLED = "pseudo_labelled"
"""1 where a model gave the label, not a person; others have no such feature. A column of the input
has this name. Such photographs are in train alone."""

FEATURE_TYPES = {
    IMAGE_BYTES: "bytes",
    IMAGE_ID: "bytes",
    IMAGE_PATH: "bytes",
    LABEL: "bytes",
    LABELS: "bytes",
    HEIGHT: "int",
    WIDTH: "int",
}
"""The features of every example; further columns of the input are added with their own types."""
SOURCE, MONITORED = "source", "monitored"
"""The column, and its value, that mark the photographs of production, which the monitor adds."""
BRIGHTNESS = "brightness"
CONTRAST = "contrast"
SHARPNESS = "sharpness"
MEASURE_TYPES = {BRIGHTNESS: "float", CONTRAST: "float", SHARPNESS: "float"}
"""What ingest measured of the photograph; a column of the input of such a name takes its place."""


@dataclasses.dataclass(frozen=True)
class Examples:
    """An examples artifact that is complete.

    Attributes:
        folder: Its folder.
        labels: The sorted labels; a label's place here is its index everywhere.
        counts: Number of examples by split.
        columns: Type (`bytes`, `int` or `float`) of every extra input column.
        multi_label: Whether every example has a list of labels instead of one.
        manifest: The whole manifest.
        pseudo_labelled: Number of examples, all of train, whose label a model gave.
    """

    folder: Path
    labels: tuple[str, ...]
    counts: dict[str, int]
    columns: dict[str, str]
    multi_label: bool
    manifest: dict[str, Any]
    pseudo_labelled: int = 0

    @property
    def feature_types(self) -> dict[str, str]:
        """Type of every feature of a record: `bytes`, `int` or `float`."""
        return FEATURE_TYPES | MEASURE_TYPES | self.columns

    @property
    def records(self) -> str:
        """Path or URI of the folder of the shards and their index."""
        return str(self.manifest.get(RECORDS, self.folder))

    def shards(self, split: str) -> list[str]:
        """Paths or URIs of the TFRecord files of a split, in order."""
        return [shard.location for shard in list_shards(self.records, split)]


def read_examples(folder: Path) -> Examples:
    """Reads an examples artifact's manifest.

    Raises:
        StepError: The artifact is missing or not complete.
    """
    manifest = read_manifest(folder, KIND)
    return Examples(
        folder=folder,
        labels=tuple(manifest["labels"]),
        counts=manifest["counts"],
        columns=manifest["columns"],
        multi_label=manifest.get("multi_label", False),
        manifest=manifest,
        pseudo_labelled=manifest.get(PSEUDO_LABELLED, 0),
    )


def examples_digest(folder: Path) -> str:
    """SHA-256 of the shards alone: the files beside them know the photographs' times too."""
    return folder_digest(folder, "*.tfrecord")


def normalized(text: str) -> str:
    """Text that looks and is equal in one spelling: Unicode's normalization form C."""
    return unicodedata.normalize("NFC", text)


def label_text(value: Any) -> str:
    """A label as text in its one spelling.

    Whole numbers are written without a decimal point: pandas writes 1.0 where a column has gaps.

    >>> label_text(1.0), label_text("01")
    ('1', '01')
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return normalized(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
