"""The predictions artifact: what a model says of many photographs, a row each."""

import csv
import dataclasses
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.manifest import read_manifest
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
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
_LISTS = (PROBABILITIES, LABELS, EMBEDDING)
_ROWS = 5000
"""Rows of Parquet in memory at a time."""
_EMBEDDED_ROWS = 500
"""Of those with embeddings."""


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
        for row in self.read([IMAGE]):
            yield row[IMAGE]

    def read(self, columns: Collection[str]) -> Iterator[dict[str, Any]]:
        """Its rows, of any format, some at a time.

        Args:
            columns: The columns to read; those that it does not have are left out.

        Yields:
            Value by column, without those that a row has none of.
        """
        for file in self.files:
            for row in _READERS[self.format](file, columns):
                yield {name: row[name] for name in columns if row.get(name) is not None}

    def embeddings(self) -> Iterator[tuple[str, int | None, "npt.NDArray[np.float32]"]]:
        """The embeddings of its rows that have one, of any format, some at a time.

        Yields:
            The photograph's `image_id`, the version that the row says, and float32 [D].
        """
        read = _parquet_embeddings if self.format == "parquet" else self._embeddings_of_rows
        for file in self.files:
            yield from read(file)

    def _embeddings_of_rows(
        self, file: Path
    ) -> Iterator[tuple[str, int | None, "npt.NDArray[np.float32]"]]:
        import numpy as np

        for row in _READERS[self.format](file, (IMAGE_ID, MODEL_VERSION, EMBEDDING)):
            if row.get(EMBEDDING):
                embedding = np.array(row[EMBEDDING], np.float32)
                yield row[IMAGE_ID], row.get(MODEL_VERSION), embedding

    def table(self, columns: list[str] | None = None) -> "pa.Table":
        """All its rows; of Parquet only.

        Args:
            columns: The columns to read; None for all.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.read_table(file, columns=columns) for file in self.files])


def _parquet_rows(file: Path, columns: Collection[str]) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as table:
        has = [name for name in columns if name in table.schema_arrow.names]
        for batch in table.iter_batches(_ROWS, columns=has):
            yield from batch.to_pylist()


def _parquet_embeddings(
    file: Path,
) -> Iterator[tuple[str, int | None, "npt.NDArray[np.float32]"]]:
    import numpy as np
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as table:
        names = set(table.schema_arrow.names) & {IMAGE_ID, MODEL_VERSION, EMBEDDING}
        if EMBEDDING not in names:
            return
        for batch in table.iter_batches(_EMBEDDED_ROWS, columns=sorted(names)):
            versions = batch[MODEL_VERSION] if MODEL_VERSION in names else [None] * len(batch)
            for image_id, version, row in zip(
                batch[IMAGE_ID], versions, batch[EMBEDDING], strict=True
            ):
                if row.is_valid:
                    embedding = row.values.to_numpy(zero_copy_only=False).astype(np.float32)
                    yield image_id.as_py(), None if version is None else version.as_py(), embedding


def _csv_rows(file: Path, _: Collection[str]) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            lists = {name: json.loads(row[name]) for name in _LISTS if row.get(name)}
            yield {name: value for name, value in row.items() if value != ""} | lists


def _json_rows(file: Path, _: Collection[str]) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as text:
        yield from map(json.loads, text)


def _record_rows(file: Path, _: Collection[str]) -> Iterator[dict[str, Any]]:
    for record in read_records(file):
        yield {name: _cell(name, values) for name, values in parsed_example(record).items()}


def _cell(name: str, values: Sequence[Any]) -> Any:
    found = [value.decode() if isinstance(value, bytes) else value for value in values]
    return found if name in _LISTS else next(iter(found), None)


_READERS: Mapping[str, Callable[[Path, Collection[str]], Iterator[dict[str, Any]]]] = {
    "parquet": _parquet_rows,
    "csv": _csv_rows,
    "jsonl": _json_rows,
    "tfrecord": _record_rows,
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
