"""The most confident mistakes of a model, with the photographs."""

import dataclasses
import heapq
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.artifacts.examples import IMAGE_BYTES, IMAGE_ID
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records
from darkroom.thumbnails import thumbnail

NONE = "no label"
THUMBNAIL_SIDE = 160
"""Longer side of a thumbnail, in pixels."""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """A test image with a wrong predicted label, or wrong predicted labels.

    Attributes:
        image_path: Where the photograph came from.
        label: What it shows.
        predicted_label: What the model says.
        probability: The model's probability for that.
        about: Of several labels, the wrong one that the probability is of; else empty.
        thumbnail: A data URI; None where the image cannot be shown.
    """

    image_path: str
    label: str
    predicted_label: str
    probability: float
    about: str
    thumbnail: str | None


def worst_mistakes(
    predictions: Iterable[Mapping[str, Any]],
    shards: Iterable[Path],
    labels: Sequence[str],
    limit: int,
) -> list[Mistake]:
    """The wrong predictions of the highest probability, the highest first.

    Args:
        predictions: As `prediction_rows` gives them.
        shards: Where the images are.
        labels: The labels in the order of `probabilities`.
        limit: Largest number of mistakes.
    """
    found = (_mistake(row, labels) for row in predictions)
    wrong = (mistake for mistake in found if mistake is not None)
    # Ties are ordered by image id.
    worst = heapq.nlargest(limit, wrong, key=lambda pair: (pair[1].probability, pair[0]))
    thumbnails = thumbnails_of(shards, {image_id for image_id, _ in worst})
    return [
        dataclasses.replace(mistake, thumbnail=thumbnails.get(image_id))
        for image_id, mistake in worst
    ]


def _mistake(row: Mapping[str, Any], labels: Sequence[str]) -> tuple[str, Mistake] | None:
    """The image's identity and its mistake, if there is one."""
    if "labels" in row:
        about, sureness = _surest_error(row, labels)
        label, predicted = (", ".join(row[name]) for name in ("labels", "predicted_labels"))
        wrong = bool(about)
    else:
        about, sureness = "", max((v for v in row["probabilities"] if v is not None), default=0.0)
        label, predicted = row["label"], row["predicted_label"]
        wrong = label != predicted
    mistake = Mistake(row["image_path"], label, predicted or NONE, sureness, about, None)
    return (row["image_id"], mistake) if wrong else None


def _surest_error(row: Mapping[str, Any], labels: Sequence[str]) -> tuple[str, float]:
    """The wrong label, or the missing one, that the model is most sure about, and how sure."""
    predicted = set(row["predicted_labels"])
    wrong = predicted ^ set(row["labels"])
    errors = [
        (0.0 if value is None else value if label in predicted else 1 - value, label)
        for label, value in zip(labels, row["probabilities"], strict=True)
        if label in wrong
    ]
    sureness, about = max(errors, default=(0.0, ""))
    return about, sureness


def thumbnails_of(shards: Iterable[Path], image_ids: set[str]) -> dict[str, str | None]:
    """Small pictures of some images, by their identities; None of one that has none."""
    thumbnails: dict[str, str | None] = {}
    if not image_ids:
        return thumbnails
    for shard in shards:
        for record in read_records(shard):
            example = parsed_example(record)
            image_id = example[IMAGE_ID][0].decode()
            if image_id in image_ids:
                thumbnails[image_id] = thumbnail(example[IMAGE_BYTES][0], THUMBNAIL_SIDE)
    return thumbnails
