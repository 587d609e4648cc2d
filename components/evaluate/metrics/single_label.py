"""The metrics of a model that gives an image one label of several.

Beam's workers import this module; the step imports it only when it works.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluate.metrics import calibration, ranking
from components.evaluate.metrics.arithmetic import json_number, mean, ratio
from components.evaluate.metrics.calibration import calibration_error
from components.evaluate.metrics.known_metrics import TOP_K, TOP_K_ACCURACY
from components.evaluate.prediction import Row
from components.evaluate.slice_metrics import Measured, Measures, MetricConfig

_CONFUSION = "confusion"
# No probability is under this threshold, so that every image counts as its most probable label.
_NO_THRESHOLD = -1.0


class OneLabel(Measures):
    """What TFMA measures of a single-label model, and the results made of it.

    Args:
        labels: The labels in the order of their indices.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)

    def metrics(self) -> list[MetricConfig]:
        """What TFMA is to measure."""
        no_threshold = {"thresholds": [_NO_THRESHOLD]}
        configs: list[MetricConfig] = [
            (_CONFUSION, "MultiClassConfusionMatrixAtThresholds", "", no_threshold),
            ("log_loss", "SparseCategoricalCrossentropy", "", {}),
            (ranking.NAME, "AucByLabel", ranking.__name__, {}),
            (calibration.NAME, "Reliability", calibration.__name__, {}),
        ]
        if len(self._labels) > TOP_K:
            configs.append((TOP_K_ACCURACY, "SparseTopKCategoricalAccuracy", "", {"k": TOP_K}))
        return configs

    def label_of(self, row: Row) -> Any:
        """The label's index, int64 [1]."""
        return np.array([row["label_index"]])

    def measured(self, values: Mapping[str, Any]) -> Measured:
        """A slice's metrics and, of all images, `per_label`, `confusion` and `reliability`.

        The confusion is label, predicted label and number of images of every pair that occurs;
        the reliability is bins as `calibration_error` takes them.
        """
        matrix = _dense(values[_CONFUSION], len(self._labels))
        per_label = _per_label(matrix, values[ranking.NAME], self._labels)
        bins = values[calibration.NAME].tolist()
        metrics = {"accuracy": ratio(np.trace(matrix), matrix.sum())}
        for name in ("log_loss", TOP_K_ACCURACY):
            if name in values:
                metrics[name] = _shortest(values[name])
        metrics |= macro_averages(per_label, math.isfinite(metrics["log_loss"]))
        metrics["calibration_error"] = calibration_error(bins)
        confusion = [
            [self._labels[true], self._labels[predicted], int(matrix[true, predicted])]
            for true, predicted in np.argwhere(matrix)
        ]
        return metrics, {"per_label": per_label, "confusion": confusion, "reliability": bins}


def macro_averages(per_label: Sequence[Mapping[str, Any]], finite: bool) -> dict[str, float]:
    """Averages over the labels with images; no AUC where no label has one."""
    present = [row for row in per_label if row["count"]]
    averages = {
        f"macro_{name}": mean([row[name] for row in present])
        for name in ("precision", "recall", "f1")
    }
    areas = [row["auc"] for row in present if row["auc"] is not None]
    if areas:
        averages["auc"] = mean(areas) if finite else math.nan
    return averages


def counted(label: str, hits: Any, predictions: Any, of_label: Any) -> dict[str, Any]:
    """Precision, recall and F1 of a label, 0 where they divide by nothing."""
    return {
        "label": label,
        "count": int(of_label),
        "precision": ratio(hits, predictions),
        "recall": ratio(hits, of_label),
        "f1": ratio(2 * hits, predictions + of_label),
    }


def _dense(matrices: Mapping[float, Mapping[Any, float]], labels: int) -> Any:
    """The confusion matrix as int64 [K, K]: rows are labels, columns what was predicted."""
    matrix = np.zeros((labels, labels), np.int64)
    for entry, count in matrices[_NO_THRESHOLD].items():
        matrix[entry.actual_class_id, entry.predicted_class_id] = round(count)
    return matrix


def _per_label(matrix: Any, areas: Any, labels: Sequence[str]) -> list[dict[str, Any]]:
    right = np.diag(matrix)
    predicted, true = matrix.sum(axis=0), matrix.sum(axis=1)
    columns = zip(labels, right, predicted, true, areas, strict=True)
    return [
        counted(label, hits, predictions, of_label) | {"auc": json_number(area)}
        for label, hits, predictions, of_label, area in columns
    ]


def _shortest(value: Any) -> float:
    """A float32 as the decimal it stands for, so that a share of 0.9 is not below 0.9."""
    return float(str(np.float32(value)))
