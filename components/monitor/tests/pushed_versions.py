"""Versions with their references, as push writes them, of a model of photographs' greys."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from components.monitor.tests.small_world import LABELS, drawn, image_id
from components.monitor.windows.reference import Reference, read_reference
from darkroom.artifacts.predictions import prediction_schema
from darkroom.artifacts.reference import write_version_reference
from darkroom.artifacts.statistics import Statistics

SIDE = 4
OF_REFERENCE = 1_000_000
"""The number of the first photograph that a version was evaluated on."""


def photograph(number: int, dark: bool = False) -> bytes:
    """A PNG of noise; each number has its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3))
    content = io.BytesIO()
    Image.fromarray((pixels // (2 if dark else 1)).astype(np.uint8)).save(content, "png")
    return content.getvalue()


def embedding(image: bytes) -> Any:
    """What the model makes of a photograph, float32 [48]."""
    return np.asarray(Image.open(io.BytesIO(image)), np.float32).reshape(-1)


def evaluated(count: int, valid: int = 0, seed: int = 99, first: int = OF_REFERENCE) -> "pa.Table":
    """Answers as an evaluation has them, in the order of the digests."""
    truth, probabilities = drawn(count, seed)
    rows = [
        {
            "split": "valid" if place < valid else "test",
            "image_id": image_id(first + place),
            "image_path": f"{place}.jpg",
            "label": LABELS[truth[place]],
            "label_index": int(truth[place]),
            "predicted_label": LABELS[int(row.argmax())],
            "probabilities": row.tolist(),
            "slices": {"camera": "left" if place % 2 else None},
        }
        for place, row in enumerate(probabilities)
    ]
    schema = prediction_schema(3, {"camera": "bytes"}, multi_label=False, champion=False)
    table = pa.Table.from_pylist(rows, schema=schema).sort_by("image_id")
    return table.drop_columns(["image_path", "label_index"])


def write_version(
    folder: Path,
    answers: "pa.Table",
    embeddings: Any = None,
    labels: Sequence[str] = LABELS,
    multi_label: bool = False,
) -> Path:
    """A version with a reference; its graph is none."""
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"a graph")
    write_version_reference(folder, labels, multi_label, answers, Statistics(), embeddings)
    return folder


def embeddings_of_reference(count: int, first: int = OF_REFERENCE) -> Any:
    """The embeddings of the first photographs of `evaluated`, in the order of their digests."""
    numbers = sorted(range(first, first + count), key=image_id)
    return np.array([embedding(photograph(number)) for number in numbers], np.float16)


def save_model(folder: Path) -> None:
    """Saves a model whose embedding is the photograph's pixels."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def embed(image_bytes: Any) -> Any:
        def one(encoded: Any) -> Any:
            decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            return tf.reshape(tf.cast(decoded, tf.float32), [SIDE * SIDE * 3])

        spec = tf.TensorSpec([SIDE * SIDE * 3], tf.float32)
        return {"embedding": tf.map_fn(one, image_bytes, fn_output_signature=spec)}

    module = tf.Module()
    module.embed = embed
    tf.saved_model.save(module, str(folder), signatures={"embedding": embed})


def normal_reference(folder: Path, count: int = 300) -> dict[str, Reference]:
    """A version whose embeddings are normal, as those of `embedded_rows` are."""
    rows = np.random.default_rng(5).normal(size=(count, 6)).astype(np.float16)
    return {"1": read_reference(str(write_version(folder, evaluated(count), rows)), ())}
