"""The evaluation artifact: metrics, the verdict; its predictions are in `predictions.py`."""

import dataclasses
import re
from pathlib import Path
from typing import Any

from darkroom.artifacts.manifest import read_manifest

KIND = "evaluation"
METRICS_FILE = "metrics.json"
"""Metrics of all images and of every slice, by label too, and the confusion matrix."""
VERDICT_FILE = "verdict.json"
"""`blessed`, `reasons`, and every check that led there."""
MODEL_CARD_FILE = "model_card.md"
"""What the model is for and how good it is: Markdown with the metadata of Hugging Face's hub."""
SUSPECTS_FILE = "suspects.csv"
"""Images whose labels are likely wrong, of the test and the valid split, and of the training split
where that was asked for: `image`, `label`, `likely_label`, `probability` (that the label is right),
`split` and `issue`."""
EXPLANATION_LEGEND = "<!-- explanations -->"
"""Where in the report's HTML it is said what explanations show."""


def explanation_mark(image_id: str) -> str:
    """Where in the report the explanation of an answer goes, in its HTML."""
    return f"<!-- explanation of {image_id} -->"


def marked_for_explanation(page: str) -> list[str]:
    """The identities of the photographs whose answers a report wants explained, in its order."""
    return re.findall(explanation_mark("([^ ]+)"), page)


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
