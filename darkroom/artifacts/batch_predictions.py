"""The predictions artifact: what a model says of many photographs, a row each."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.manifest import read_manifest

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

    def table(self, columns: list[str] | None = None) -> "pa.Table":
        """All its rows; of Parquet only.

        Args:
            columns: The columns to read; None for all.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.read_table(file, columns=columns) for file in self.files])


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
