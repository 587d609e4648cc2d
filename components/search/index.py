"""The index of photographs: their embeddings, ordered so that the nearest are found at once."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.artifacts.batch_predictions import (
    EMBEDDING,
    IMAGE,
    IMAGE_ID,
    LABEL,
    BatchPredictions,
    read_batch_predictions,
)
from darkroom.artifacts.manifest import atomic_artifact, read_manifest, write_manifest
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.pace import Pace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

KIND = "photograph_index"
_VECTORS, _PHOTOGRAPHS = "embeddings.usearch", "photographs.parquet"
_COLUMNS = (IMAGE, IMAGE_ID, LABEL)
_BATCH = 4096
"""Rows that are in memory at a time while an index is built."""

_log = logging.getLogger("darkroom.search")


class Neighbour(NamedTuple):
    """A photograph that was found.

    Attributes:
        distance: 1 less the cosine of the angle between the embeddings, from 0 to 2.
        label: What the model took it for.
        image: Path or URI, as it was given to the prediction.
        image_id: SHA-256 of its file.
    """

    distance: float
    label: str
    image: str
    image_id: str


def build_index(predictions: Path, index: Path) -> dict[str, int]:
    """Builds an index of all photographs that were predicted.

    Args:
        predictions: A predictions artifact, Parquet with embeddings.
        index: Output: the folder, which must not exist.

    Returns:
        Number of photographs `indexed`, and `left_out`: those whose embedding is no direction, as
        it is zero or not finite.

    Raises:
        SettingsError: There is something at `index`, or the predictions are of another format,
            without embeddings, or of a served model.
        StepError: The predictions are not complete, or none of them can be indexed.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from usearch.index import Index

    if index.exists():
        raise SettingsError(f"{index} exists: remove it, or name another folder with -o")
    source = read_batch_predictions(predictions)
    if not source.model_digest:
        raise SettingsError(
            f"{predictions} is what a served model says, which does not state its digest: predict "
            "with the model's folder"
        )
    pace = Pace(_log, "photographs", source.rows)
    found, kept, left_out = None, 0, 0
    with atomic_artifact(index, replace=False) as folder:
        schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
        with pq.ParquetWriter(folder / _PHOTOGRAPHS, schema, compression="zstd") as writer:
            for batch, embeddings in _batches(source):
                if found is None:
                    found = Index(ndim=embeddings.shape[1], metric="cos", dtype="f16")
                lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1)
                sound = np.isfinite(lengths) & (lengths > 0)
                keys = np.arange(kept, kept + sound.sum(), dtype=np.uint64)
                # Of length 1, so that none is too long for the 16 bits that it is kept in.
                unit = (embeddings[sound] / lengths[sound, None]).astype(np.float32)
                # The first ones one by one: added at the same time, they would miss each other.
                found.add(keys, unit, threads=0 if kept else 1)
                writer.write_batch(batch.filter(pa.array(sound)))
                kept, left_out = kept + len(keys), left_out + int((~sound).sum())
                pace.add(len(sound))
        if found is None or not kept:
            raise StepError(f"{predictions} has no photograph with an embedding to index")
        found.save(str(folder / _VECTORS))
        facts = {"model_digest": source.model_digest, "dimension": found.ndim}
        counts = {"indexed": kept, "left_out": left_out}
        write_manifest(folder, KIND, facts | {"counts": counts})
    if left_out:
        _log.warning("%d photographs are left out: their embedding is no direction", left_out)
    return counts


def _batches(source: BatchPredictions) -> Iterator[tuple[Any, "Floats"]]:
    """The photographs and their embeddings, float32 [N, D], some thousand at a time."""
    import numpy as np
    import pyarrow.parquet as pq

    if source.format != "parquet":
        raise SettingsError(
            f"{source.folder} holds predictions as {source.format}: predict again with "
            "format: parquet"
        )
    for path in source.files:
        file = pq.ParquetFile(path)
        if EMBEDDING not in file.schema_arrow.names:
            raise SettingsError(
                f"{source.folder} has no embeddings: predict again with embedding: true"
            )
        for batch in file.iter_batches(_BATCH, columns=[*_COLUMNS, EMBEDDING]):
            flat = batch.column(EMBEDDING).flatten().to_numpy(zero_copy_only=False)
            embeddings = flat.astype(np.float32, copy=False).reshape(len(batch), -1)
            yield batch.select(_COLUMNS), embeddings


class PhotographIndex:
    """An index that was built.

    Args:
        folder: Its folder.
        model_digest: Digest of the model whose embeddings it is asked about.

    Raises:
        StepError: It is not complete, is damaged, or holds another model's embeddings.
    """

    def __init__(self, folder: Path, model_digest: str) -> None:
        import pyarrow.parquet as pq
        from usearch.index import Index

        manifest = read_manifest(folder, KIND)
        if manifest["model_digest"] != model_digest:
            raise StepError(
                f"the index {folder} holds embeddings of another model "
                f"({manifest['model_digest'][:12]}, not {model_digest[:12]}): predict with this "
                "model, and build the index of that"
            )
        try:
            # Read where it lies: nothing is loaded that a search does not pass.
            self._vectors = Index.restore(str(folder / _VECTORS), view=True)
            self._photographs = pq.read_table(folder / _PHOTOGRAPHS, memory_map=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise StepError(f"the index {folder} is damaged ({error}): build it again") from error

    def nearest(self, embedding: "Floats", count: int) -> list[Neighbour]:
        """The photographs that are most alike, the nearest first.

        Args:
            embedding: float32 [D].
            count: How many, at most.
        """
        matches = self._vectors.search(embedding, count)
        rows = self._photographs.take(matches.keys.astype("int64")).to_pylist()
        distances = matches.distances.tolist()
        return [
            Neighbour(max(0.0, distance), row[LABEL], row[IMAGE], row[IMAGE_ID])
            for distance, row in zip(distances, rows, strict=True)
        ]
