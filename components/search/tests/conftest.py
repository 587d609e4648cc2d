"""Predictions with embeddings, as the predict step writes them, and a model that gives such."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from darkroom.artifacts.batch_predictions import EMBEDDING, KIND
from darkroom.artifacts.manifest import folder_digest, write_manifest

DIGEST = "a" * 64
CELLS = 4
"""The model's embedding is the brightness of so many parts of a photograph a side, by channel."""


def write_predictions(
    folder: Path,
    images: Sequence[str],
    embeddings: Any,
    digest: str = DIGEST,
    files: int = 2,
    **changes: Any,
) -> Path:
    """A predictions artifact; without `embeddings`, it has no such column."""
    folder.mkdir(parents=True)
    columns: dict[str, Any] = {
        "image": images,
        "image_id": [f"id of {image}" for image in images],
        "label": [Path(image).parent.name or "none" for image in images],
    }
    if embeddings is not None:
        columns[EMBEDDING] = pa.array(list(embeddings), pa.list_(pa.float32()))
    table = pa.table(columns)
    for number in range(files):
        first, last = (len(table) * place // files for place in (number, number + 1))
        name = f"predictions-{number:05d}-of-{files:05d}.parquet"
        pq.write_table(table.slice(first, last - first), folder / name)
    content = {
        "format": "parquet",
        "labels": ["bright", "dark"],
        "model": {"digest": digest, "version": None},
        "counts": {"predicted": len(images), "rejected": 0},
    }
    write_manifest(folder, KIND, content | changes)
    return folder


def photograph(seed: int, side: int = 64) -> bytes:
    """Coloured cells, different for every seed."""
    cells = np.random.default_rng(seed).integers(0, 256, (CELLS, CELLS, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(cells).resize((side, side), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model artifact with the `embedding` signature."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("models") / "model"
    module = tf.Module()

    def one(encoded: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        small = tf.image.resize(image, (CELLS, CELLS), "area")
        return tf.reshape(small / 255 - 0.5, [CELLS * CELLS * 3])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def embedding(image_bytes: Any) -> dict[str, Any]:
        return {EMBEDDING: tf.map_fn(one, image_bytes, fn_output_signature=tf.float32)}

    tf.saved_model.save(module, str(folder), signatures={"embedding": embedding})
    digest = folder_digest(folder)
    write_manifest(folder, "model", {"labels": ["bright", "dark"], "digest": digest})
    return folder
