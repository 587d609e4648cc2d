"""The predictions artifact: what a model says of many photographs, a row each."""

import csv
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.manifest import read_manifest
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "batch_predictions"
PREDICTIONS = "predictions"
"""Start of the names of its files."""
TILE_MAPS = "tile_maps"
"""Start of the names of the files with a row for each image that was cut into tiles."""

IMAGE = "image"
IMAGE_ID = "image_id"
"""SHA-256 of the photograph's file in hexadecimal, as ingest gives it."""
LABEL = "label"
LABEL_INDEX = "label_index"
PROBABILITY = "probability"
PROBABILITIES = "probabilities"
LABELS = "labels"
"""Of a multi-label model: the labels over their thresholds."""
EMBEDDING = "embedding"
MODEL_VERSION = "model_version"
MODEL_DIGEST = "model_digest"
COLUMNS = (
    *(IMAGE, IMAGE_ID, LABEL, LABEL_INDEX, PROBABILITY, PROBABILITIES, LABELS, EMBEDDING),
    *(MODEL_VERSION, MODEL_DIGEST),
)
"""The columns of its own, in order; those that the input brought follow."""
_RENAMED = "input_"


def passed_name(column: str) -> str:
    """The name that a column of the input has among the predictions.

    >>> passed_name("camera"), passed_name("label")
    ('camera', 'input_label')
    """
    return f"{_RENAMED}{column}" if column in COLUMNS else column


@dataclasses.dataclass(frozen=True)
class BatchPredictions:
    """A predictions artifact that is complete.

    Attributes:
        folder: Its folder.
        format: `parquet`, `csv`, `jsonl` or `tfrecord`.
        labels: The model's labels, in the order of the probabilities.
        model_digest: Digest of the model.
        model_version: Its number where it was pushed; else None.
        rows: Number of rows that have a prediction.
        manifest: The whole manifest.
    """

    folder: Path
    format: str
    labels: tuple[str, ...]
    model_digest: str
    model_version: int | None
    rows: int
    manifest: dict[str, Any]

    @property
    def files(self) -> list[Path]:
        """Its files, in the order of the input's rows."""
        return sorted(self.folder.glob(f"{PREDICTIONS}-*"))

    def images(self) -> Iterator[str]:
        """The photographs that have a prediction, as the input names them; of any format."""
        for file in self.files:
            yield from _READERS[self.format](file)

    def table(self, columns: list[str] | None = None) -> "pa.Table":
        """All its rows; of Parquet only.

        Args:
            columns: The columns to read; None for all.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.read_table(file, columns=columns) for file in self.files])


def _images_of_parquet(file: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    yield from pq.read_table(file, columns=[IMAGE])[IMAGE].to_pylist()


def _images_of_csv(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", newline="") as text:
        yield from (row[IMAGE] for row in csv.DictReader(text))


def _images_of_json_lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as text:
        yield from (json.loads(line)[IMAGE] for line in text)


def _images_of_records(file: Path) -> Iterator[str]:
    for record in read_records(file):
        yield parsed_example(record)[IMAGE][0].decode()


_READERS: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "parquet": _images_of_parquet,
    "csv": _images_of_csv,
    "jsonl": _images_of_json_lines,
    "tfrecord": _images_of_records,
}


def read_batch_predictions(folder: Path) -> BatchPredictions:
    """Reads a predictions artifact's manifest.

    Raises:
        StepError: The artifact is missing or not complete.
    """
    manifest = read_manifest(folder, KIND)
    return BatchPredictions(
        folder=folder,
        format=manifest["format"],
        labels=tuple(manifest["labels"]),
        model_digest=manifest["model"]["digest"],
        model_version=manifest["model"]["version"],
        rows=manifest["counts"]["predicted"],
        manifest=manifest,
    )
