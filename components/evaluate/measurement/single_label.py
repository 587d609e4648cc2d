"""The metrics of a model that gives an image one label of several.

Beam's workers import this module; the step imports it only when it works.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from components.evaluate.measurement import calibration, ranking
from components.evaluate.measurement.prediction import Row
from components.evaluate.measurement.slices import Measured, Measurement, MetricConfig, json_number
from components.evaluate.metrics.decisions import ratio
from components.evaluate.metrics.metric import SingleLabelResults
from components.evaluate.metrics.registry import metrics_of

_CONFUSION = "confusion"
# No probability is under this threshold, so that every image counts as its most probable label.
_NO_THRESHOLD = -1.0
_NO_THRESHOLD_OPTIONS = {"thresholds": [_NO_THRESHOLD]}

Results = TypeVar("Results")


class SingleLabelMeasurement(Measurement):
    """What TFMA measures of a single-label model, and the results made of it.

    Args:
        labels: The labels in the order of their indices.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)

    def tfma_metrics(self) -> list[MetricConfig]:
        """What TFMA is to measure."""
        configs: list[MetricConfig] = [
            (_CONFUSION, "MultiClassConfusionMatrixAtThresholds", "", _NO_THRESHOLD_OPTIONS),
            (ranking.NAME, "AucByLabel", ranking.__name__, {}),
            (calibration.NAME, "Reliability", calibration.__name__, {}),
        ]
        for metric in metrics_of(multi_label=False, labels=len(self._labels)):
            if (tfma := metric.tfma) is not None:
                configs.append((metric.name, tfma.class_name, tfma.module, dict(tfma.options)))
        return configs

    def label_of(self, row: Row) -> Any:
        """The label's index, int64 [1]."""
        return np.array([row["label_index"]])

    def measured(self, values: Mapping[str, Any]) -> Measured:
        """A slice's metrics and, of all images, `per_label`, `confusion` and `reliability`.

        The confusion is label, predicted label and number of images of every pair that occurs;
        the reliability is bins as `metrics.probabilities.calibration_error` takes them.
        """
        matrix = _dense(values[_CONFUSION], len(self._labels))
        per_label = _per_label(matrix, values[ranking.NAME], self._labels)
        bins = values[calibration.NAME].tolist()
        known = metrics_of(multi_label=False, labels=len(self._labels))
        computed = {m.name: _shortest(values[m.name]) for m in known if m.tfma is not None}
        # Any probability that is not a number makes their sum none.
        finite = all(math.isfinite(probability) for _, probability, _ in bins)
        results = SingleLabelResults(matrix, per_label, bins, computed, finite)
        metrics = made_of(results, ((m.name, m.single_label) for m in known))
        confusion = [
            [self._labels[true], self._labels[predicted], int(matrix[true, predicted])]
            for true, predicted in np.argwhere(matrix)
        ]
        return metrics, {"per_label": per_label, "confusion": confusion, "reliability": bins}


def made_of(
    results: Results, functions: Iterable[tuple[str, Callable[[Results], float | None] | None]]
) -> dict[str, float]:
    """The metrics that functions make of results, by name; without those that there are none."""
    made = {name: function(results) for name, function in functions if function is not None}
    return {name: value for name, value in made.items() if value is not None}


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
