"""The figures as Kubeflow's and Vertex's consoles show them."""

import json
from pathlib import Path
from typing import Any

from darkroom.artifacts.evaluation import METRICS_FILE

MOST_LABELS = 50
"""Labels of a confusion matrix that a console can show."""


def log_metrics(evaluation: str, metrics: Any, classification: Any) -> None:
    """Gives the consoles the metrics, the confusion matrix and the ROC curve.

    Args:
        evaluation: The evaluation artifact.
        metrics: kfp's artifact of metrics.
        classification: kfp's artifact of classification metrics.
    """
    document = json.loads(Path(evaluation, METRICS_FILE).read_text(encoding="utf-8"))
    labels, overall = document["labels"], document["slices"][0]
    for name, value in overall["metrics"].items():
        if value is not None:
            metrics.log_metric(name, value)
    if "confusion" in overall and len(labels) <= MOST_LABELS:
        classification.log_confusion_matrix(labels, _matrix(labels, overall["confusion"]))
    if overall["roc"] is not None:
        roc = overall["roc"]
        classification.log_roc_curve(roc["false_positive_rate"], roc["recall"], roc["thresholds"])
    # kfp's own cache here knows no artifact without a file.
    for artifact in (metrics, classification):
        path = Path(artifact.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(artifact.metadata), encoding="utf-8")


def _matrix(labels: list[str], entries: list[tuple[str, str, int]]) -> list[list[int]]:
    places = {label: place for place, label in enumerate(labels)}
    matrix = [[0] * len(labels) for _ in labels]
    for label, predicted, images in entries:
        matrix[places[label]][places[predicted]] = images
    return matrix
