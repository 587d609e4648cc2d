"""Small real artifacts: examples out of images, and a linear SavedModel over their pixels."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.evaluate import evaluate
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts import examples as examples_format
from darkroom.artifacts import model as model_format
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.predictions import prediction_schema
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record
from darkroom.settings import validate_settings
from darkroom.storage.atomic import write_json

SHARDS = 3


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    return encoded.getvalue()


def write_examples(
    folder: Path, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]
) -> Path:
    """Writes rows of `image_bytes`, `image_path`, `label` and columns as the test split.

    Rows with `labels` too make the examples multi-label.
    """
    folder.mkdir(parents=True)
    files = [
        (folder / f"test-{shard:05}-of-{SHARDS:05}.tfrecord").open("wb") for shard in range(SHARDS)
    ]
    for number, row in enumerate(rows):
        identity = hashlib.sha256(row["image_bytes"] + str(number).encode()).hexdigest()
        record = {"image_id": identity, "height": 8, "width": 8, **row}
        write_record(files[number % SHARDS], serialized_example(record))
    for file in files:
        file.close()
    content = {
        "labels": sorted({name for row in rows for name in row.get("labels", [row["label"]])}),
        "multi_label": any("labels" in row for row in rows),
        "counts": {"train": 0, "valid": 0, "test": len(rows)},
        "columns": dict(columns),
    }
    write_manifest(folder, examples_format.KIND, content)
    return folder


def write_model(
    folder: Path,
    labels: Sequence[str],
    weights: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    history: Mapping[str, Any] | None = None,
    sure_of_dark: bool = True,
    thresholds: Sequence[float] | None = None,
) -> Path:
    """Writes a SavedModel with softmax(pixels @ weights + bias) over square grey images.

    Args:
        folder: The artifact.
        labels: K labels.
        weights: float32 [side * side, K], on pixels from 0 to 1.
        bias: float32 [K].
        history: Content of `history.json`; none is written without.
        sure_of_dark: False for not-a-number where an image is nearly black.
        thresholds: Makes it a multi-label model, with a sigmoid.
    """
    import tensorflow as tf

    side = int(len(weights) ** 0.5)

    class Linear(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(weights)
            self.bias = tf.Variable(bias)

        def predict(self, image_bytes: Any) -> dict[str, Any]:
            def pixels_of(image: Any) -> Any:
                decoded = tf.io.decode_image(image, channels=1, expand_animations=False)
                return tf.image.resize(decoded, (side, side), antialias=True) / 255

            images = tf.map_fn(pixels_of, image_bytes, tf.TensorSpec((side, side, 1), tf.float32))
            pixels = tf.reshape(images, (-1, side * side))
            activation = tf.nn.softmax if thresholds is None else tf.nn.sigmoid
            probabilities = activation(pixels @ self.weights + self.bias)
            if not sure_of_dark:
                dark = tf.reduce_max(pixels, axis=1, keepdims=True) < 0.1
                probabilities = tf.where(dark, np.nan, probabilities)
            index = tf.argmax(probabilities, axis=1)
            answer = {
                "label": tf.gather(tf.constant(list(labels)), index),
                "label_index": index,
                "probability": tf.reduce_max(probabilities, axis=1),
                "probabilities": probabilities,
            }
            if thresholds is None:
                return answer
            hits = tf.where(probabilities >= tf.constant(thresholds))
            names = tf.gather(tf.constant(list(labels)), hits[:, 1])
            joined = tf.strings.unsorted_segment_join(
                *(names, hits[:, 0], tf.shape(probabilities)[0]),
                model_format.labels_separator(labels),
            )
            return answer | {model_format.LABELS: joined}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def from_examples(self, examples: Any) -> dict[str, Any]:
            text = tf.io.FixedLenFeature([], tf.string)
            parsed = tf.io.parse_example(examples, {"image_bytes": text, "image_id": text})
            return {**self.predict(parsed["image_bytes"]), "image_id": parsed["image_id"]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
        def serving_default(self, image_bytes: Any) -> dict[str, Any]:
            return self.predict(image_bytes)

    linear = Linear()
    signatures = {
        model_format.FROM_EXAMPLES: linear.from_examples,
        model_format.SERVING_DEFAULT: linear.serving_default,
    }
    tf.saved_model.save(linear, str(folder), signatures=signatures)
    if history is not None:
        write_json(folder / model_format.HISTORY_FILE, history)
    content = {"labels": list(labels), "image_size": [side, side], "digest": f"digest of {folder}"}
    if thresholds is not None:
        content["thresholds"] = list(thresholds)
    write_manifest(folder, model_format.KIND, content)
    return folder


def fitted(
    images: npt.NDArray[np.uint8], targets: npt.NDArray[np.int64], strength: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weights and bias of a logistic regression on grey images [N, side, side]."""
    from sklearn.linear_model import LogisticRegression

    flat = images.reshape(len(images), -1) / 255
    regression = LogisticRegression(C=strength, max_iter=300).fit(flat, targets)
    return regression.coef_.T.astype(np.float32), regression.intercept_.astype(np.float32)


def run_evaluate(
    examples: Path, model: Path, settings: Mapping[str, Any], output: Path
) -> tuple[str, Path, Path]:
    """Runs the step as `run_step` does, but lets its errors through.

    Returns:
        The verdict, the evaluation and the report.
    """
    evaluation, report = output / "evaluation", output / "report.html"
    validated = validate_settings(EvaluateSettings, settings, "evaluate")
    verdict = evaluate(examples, model, validated, evaluation=evaluation, report=report)
    return verdict, evaluation, report


def table_of(
    rows: Sequence[Mapping[str, Any]], labels: int, slices: Mapping[str, str] | None = None
) -> Any:
    """Rows as `prediction_rows` gives them, as the table that it reads; None is not a number."""
    import pyarrow as pa

    several = any("label_indices" in row for row in rows)
    champion = any("champion" in row for row in rows)
    schema = prediction_schema(labels, slices or {}, several, champion)

    def numbers(row: Mapping[str, Any]) -> dict[str, Any]:
        if "probabilities" not in row:
            return {"probabilities": [0.0] * labels, **row}
        return {**row, "probabilities": [np.nan if v is None else v for v in row["probabilities"]]}

    complete = [
        {"split": "test", "image_id": f"{number:06}"}
        | numbers(row)
        | ({"champion": numbers(row["champion"])} if champion else {})
        for number, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(complete, schema=schema)


def read_results(evaluation: Path) -> list[dict[str, Any]]:
    """The content of `metrics.json`: all images first, then every slice."""
    document = json.loads((evaluation / "metrics.json").read_text(encoding="utf-8"))
    results: list[dict[str, Any]] = document["slices"]
    return results
