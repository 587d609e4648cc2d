"""The evaluation artifact: metrics, the verdict, and a prediction for every test image."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darkroom.artifacts.manifest import read_manifest

KIND = "evaluation"
METRICS_FILE = "metrics.json"
"""Metrics of all images and of every slice, by label too, and the confusion matrix."""
VERDICT_FILE = "verdict.json"
"""`blessed`, `reasons`, and every check that led there."""
SUSPECTS_FILE = "suspects.csv"
"""Test images whose labels are likely wrong: `image`, `label`, `likely_label`, `probability`."""
PREDICTIONS = "predictions"
"""Start of the names of the prediction files, which are JSON Lines."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation artifact that is complete.

    Attributes:
        folder: Its folder.
        labels: The labels in the order of `probabilities`.
        count: Number of test images.
        metrics: Metrics over all images; None is not a number.
        blessed: Whether the model passed every check.
        reasons: One line for every failed check.
        manifest: The whole manifest.
    """

    folder: Path
    labels: tuple[str, ...]
    count: int
    metrics: dict[str, float | None]
    blessed: bool
    reasons: tuple[str, ...]
    manifest: dict[str, Any]

    def predictions(self) -> Iterator[dict[str, Any]]:
        """The prediction of every test image, as `read_predictions` gives them."""
        return read_predictions(self.folder)


def read_evaluation(folder: Path) -> Evaluation:
    """Reads an evaluation artifact's manifest.

    Raises:
        StepError: The artifact is missing or not complete.
    """
    manifest = read_manifest(folder, KIND)
    return Evaluation(
        folder=folder,
        labels=tuple(manifest["labels"]),
        count=manifest["count"],
        metrics=manifest["metrics"],
        blessed=manifest["blessed"],
        reasons=tuple(manifest["reasons"]),
        manifest=manifest,
    )


def read_predictions(folder: Path) -> Iterator[dict[str, Any]]:
    """The prediction of every test image, once each.

    Yields:
        `image_id`, `image_path`, `label`, `label_index`, `predicted_label`, `probabilities`
        (float32 values exactly, one a label; None is not a number) and `slices` (the values of
        the features that were sliced by, by name). Where images have several labels, `labels`,
        `label_indices` and `predicted_labels` are lists in place of the second and the third,
        `label` is all labels in one text, and an image is in the slice of each label. Where a
        champion was scored, `champion` holds its `predicted_label` (or `predicted_labels`) and its
        `probabilities` in the same order, or the `problem` for which it could not be.
    """
    for path in sorted(folder.glob(f"{PREDICTIONS}-*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
