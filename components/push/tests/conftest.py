"""A small model with every signature, test photographs, and an evaluation that agrees with it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.push.tests.vertex_fixtures import (  # noqa: F401
    account_keys,
    bucket,
    models,
    vertex,
    vertex_server,
)
from darkroom.artifacts.evaluation import KIND as EVALUATION_KIND
from darkroom.artifacts.manifest import folder_digest, write_manifest
from darkroom.artifacts.predictions import prediction_schema
from darkroom.artifacts.statistics import Statistics, write_statistics
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record
from darkroom.tests.google_account import tls_keys  # noqa: F401

LABELS = ["dark", "light"]
CARD = """---
pipeline_tag: image-classification
tags: [darkroom]
---

# Greys
"""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What push takes."""

    examples: Path
    model: Path
    evaluation: Path

    @property
    def inputs(self) -> tuple[Path, Path, Path, Path]:
        """In the order in which push takes them."""
        return self.examples, self.model, self.evaluation, statistics_of(self.examples)


class Photograph(NamedTuple):
    """What is known of a photograph."""

    height: int
    width: int
    file_format: str
    converted: bool
    brightness: float
    contrast: float
    sharpness: float


def save_model(
    folder: Path,
    sharpness: float = 1.0,
    skew: float = 0.0,
    without: str = "",
    thresholds: tuple[float, float] | None = None,
    stated: tuple[float, float] | None = None,
    decision: float | None = None,
    pushed: Mapping[str, Any] | None = None,
) -> None:
    """Saves a classifier of brightness.

    Args:
        folder: The artifact.
        sharpness: How steep its answer is.
        skew: Shifts what `with_key` answers.
        without: A signature to leave out.
        thresholds: Of a multi-label model, as its graph has them.
        stated: As its manifest has them, where those are others.
        decision: The threshold of `light` that its manifest states; its graph has 0.5.
        pushed: The manifest's entry of how it is pushed.
    """
    import tensorflow as tf

    text = tf.TensorSpec([None], tf.string)
    images = tf.TensorSpec([None, 4, 4, 3], tf.float32)
    module = tf.Module()
    module.sharpness = tf.Variable(sharpness)

    def pixels(image_bytes: Any) -> Any:
        def one(encoded: Any) -> Any:
            decoded = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            return tf.image.resize(decoded, [4, 4])

        return tf.map_fn(one, image_bytes, fn_output_signature=tf.TensorSpec([4, 4, 3]))

    def answer(input_images: Any, shift: float = 0.0) -> dict[str, Any]:
        brightness = tf.reduce_mean(input_images, [1, 2, 3]) / 255
        light = tf.sigmoid(module.sharpness * (brightness - 0.5) + shift)
        probabilities = tf.stack([1 - light, light], 1)
        index = tf.argmax(probabilities, 1)
        given = {
            "label": tf.gather(LABELS, index),
            "label_index": index,
            "probability": tf.reduce_max(probabilities, 1),
            "probabilities": probabilities,
        }
        if thresholds is None:
            return given
        dark, light_too = tf.unstack(probabilities >= tf.constant(thresholds), axis=1)
        names = [tf.where(dark, "dark", ""), tf.where(light_too, "light", "")]
        return given | {"labels": tf.strings.strip(tf.strings.join(names, " "))}

    def from_examples(examples: Any) -> dict[str, Any]:
        names = ("image_bytes", "image_id")
        parsed = tf.io.parse_example(
            examples, dict.fromkeys(names, tf.io.FixedLenFeature([], tf.string))
        )
        return answer(pixels(parsed["image_bytes"])) | {"image_id": parsed["image_id"]}

    def with_key(image_bytes: Any, key: Any) -> dict[str, Any]:
        return answer(pixels(image_bytes), skew) | {"key": tf.identity(key)}

    def from_filenames(filenames: Any) -> dict[str, Any]:
        contents = tf.map_fn(tf.io.read_file, filenames)
        return answer(pixels(contents)) | {"filenames": tf.identity(filenames)}

    functions: dict[str, Any] = {
        "serving_default": (lambda image_bytes: answer(pixels(image_bytes)), {"image_bytes": text}),
        "from_filenames": (from_filenames, {"filenames": text}),
        "from_examples": (from_examples, {"examples": text}),
        "with_key": (with_key, {"image_bytes": text, "key": text}),
        "embedding": (
            lambda image_bytes: {"embedding": pixels(image_bytes)},
            {"image_bytes": text},
        ),
        "xai_preprocess": (
            lambda image_bytes: {"input_images": pixels(image_bytes)},
            {"image_bytes": text},
        ),
        "xai_model": (answer, {"input_images": images}),
    }
    functions.pop(without, None)
    signatures = {
        name: tf.function(function).get_concrete_function(**specifications)
        for name, (function, specifications) in functions.items()
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    content: dict[str, Any] = {"labels": LABELS, "digest": folder_digest(folder)}
    if stated or thresholds:
        content["thresholds"] = stated or thresholds
    if decision is not None:
        content["decision"] = {"positive_label": "light", "threshold": decision}
    if pushed is not None:
        content["pushed"] = pushed
    write_manifest(folder, "model", content)


def statistics_of(examples: Path) -> Path:
    return examples.with_name(f"{examples.name}-statistics")


def save_examples(folder: Path) -> None:
    """Saves grey photographs, and the statistics of them."""
    import tensorflow as tf

    folder.mkdir()
    counted = Statistics()
    with (folder / "test-00000-of-00001.tfrecord").open("wb") as file:
        for number in range(20):
            image = np.full((5, 6, 3), number * 12, np.uint8)
            encoded = tf.io.encode_png(image).numpy()
            record = {"image_bytes": encoded, "image_id": f"id-{number}", "label": "dark"}
            write_record(file, serialized_example(record))
            grey = Photograph(5, 6, "PNG", False, number * 12.0, 0.0, 0.0)
            counted.add(grey, "test", "dark")
    statistics_of(folder).mkdir()
    write_statistics(statistics_of(folder), counted, [])
    counts = {"train": 0, "valid": 0, "test": 20}
    write_manifest(folder, "examples", {"labels": LABELS, "counts": counts, "columns": {}})


def save_evaluation(folder: Path, model: Path, examples: Path, blessed: bool = True) -> None:
    """Writes the model's own answers down, as the evaluate step does."""
    import tensorflow as tf

    from darkroom.records.tfrecord import read_records

    records = list(read_records(examples / "test-00000-of-00001.tfrecord"))
    loaded = tf.saved_model.load(str(model))
    answers = loaded.signatures["from_examples"](examples=tf.constant(records))
    folder.mkdir()
    rows = [
        {"split": "test", "image_id": image_id.decode(), "probabilities": row.tolist()}
        for image_id, row in zip(
            answers["image_id"].numpy(), answers["probabilities"].numpy(), strict=True
        )
    ]
    schema = prediction_schema(len(LABELS), {}, "labels" in answers, champion=False)
    pq.write_table(
        pa.Table.from_pylist(rows, schema), folder / "predictions-00000-of-00001.parquet"
    )
    content = {
        "labels": LABELS,
        "count": len(records),
        "metrics": {"accuracy": 0.4},
        "blessed": blessed,
        "reasons": [] if blessed else ["accuracy 0.4 is below 0.5"],
        "model_digest": folder_digest(model),
        "settings": {},
    }
    (folder / "model_card.md").write_text(CARD)
    write_manifest(folder, EVALUATION_KIND, content)


@pytest.fixture(scope="session")
def candidate(tmp_path_factory: pytest.TempPathFactory) -> Candidate:
    folder = tmp_path_factory.mktemp("candidate")
    made = Candidate(folder / "examples", folder / "model", folder / "evaluation")
    save_examples(made.examples)
    save_model(made.model)
    save_evaluation(made.evaluation, made.model, made.examples)
    return made
