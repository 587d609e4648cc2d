"""The metrics of a slice for each kind of model, computed from what TFMA gathers.

Beam's workers import this module; the step imports it only when it works.
"""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from components.evaluate.metrics import known_metrics
from components.evaluate.metrics.metric import (
    TOP_K,
    Metric,
    MultiLabelSlice,
    SingleLabelSlice,
    TfmaMetric,
    ratio,
)
from components.evaluate.slices import tfma_metrics
from components.evaluate.slices.prediction import Row
from components.evaluate.slices.tfma_metrics import (
    average_precision,
    binned,
    one_versus_rest_auc,
    roc_auc,
)
from darkroom.artifacts.model import Model

_CONFUSION = "confusion"
_AUC_BY_LABEL = "auc_by_label"
_RELIABILITY = "reliability"
_ANSWERS = "answers"
_CROSS_ENTROPY = "cross_entropy"
_TOP_K = "top_k"
# No probability is under this threshold, so that every image counts as its most probable label.
_NO_THRESHOLD = -1.0


class Answers(NamedTuple):
    """What a model says of N images, and what is right.

    Attributes:
        actual: Which labels the images have, bool [N, K].
        probabilities: float32 [N, K].
    """

    actual: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]


class SliceMetrics(abc.ABC):
    """Computes the metrics of slices for a kind of model.

    Args:
        labels: The labels in the order of their indices.

    Attributes:
        multi_label: Whether the model gives an image several labels.
    """

    multi_label: ClassVar[bool]

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)

    def tfma_metrics(self) -> dict[str, TfmaMetric]:
        """What TFMA is to compute, by name."""
        computations = {m.name: m.computation(self.multi_label) for m in self._metrics()}
        own = {name: way for name, way in computations.items() if isinstance(way, TfmaMetric)}
        return self._gathered() | own

    @abc.abstractmethod
    def label_array(self, row: Row) -> Any:
        """The image's label or labels, as an array for TFMA."""

    @abc.abstractmethod
    def has_labels(self, row: Mapping[str, Any]) -> Any:
        """Which labels the image has, bool [K]."""

    def compute(self, values: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
        """The metrics of a slice.

        Args:
            values: What TFMA computed, by name.

        Returns:
            The metrics by name, without those that the slice cannot have; and what is stored for
            all images only: `per_label`, `reliability` and of a single-label model `confusion`,
            the label, predicted label and number of images of every pair that occurs.
        """
        of_slice, details = self._slice(values)
        metrics: dict[str, float] = {}
        for metric in self._metrics():
            way = metric.computation(self.multi_label)
            if isinstance(way, TfmaMetric):
                value: float | None = _shortest(values[metric.name])
            else:
                value = way(of_slice) if way else None
            if value is not None:
                metrics[metric.name] = value
        per_label, bins = of_slice.per_label, of_slice.reliability
        return metrics, {"per_label": per_label, _RELIABILITY: bins, **details}

    def _metrics(self) -> list[Metric]:
        count = len(self._labels)
        return [m for m in known_metrics().values() if m.applies(self.multi_label, count)]

    @abc.abstractmethod
    def _gathered(self) -> dict[str, TfmaMetric]:
        """What TFMA gathers for `_slice`, by name."""

    @abc.abstractmethod
    def slice_of(self, rows: Answers) -> SingleLabelSlice | MultiLabelSlice:
        """What the metrics of some answers are computed from."""

    @abc.abstractmethod
    def _slice(
        self, values: Mapping[str, Any]
    ) -> tuple[SingleLabelSlice | MultiLabelSlice, dict[str, Any]]:
        """What the metrics are computed from, and further details of all images."""


class SingleLabelMetrics(SliceMetrics):
    """Metrics of a model that gives an image one label of several."""

    multi_label = False

    def label_array(self, row: Row) -> Any:
        """The label's index, int64 [1]."""
        return np.array([row["label_index"]])

    def has_labels(self, row: Mapping[str, Any]) -> Any:
        """Which label the image has, one-hot; bool [K]."""
        return _marked(len(self._labels), row["label_index"])

    def _gathered(self) -> dict[str, TfmaMetric]:
        module = tfma_metrics.__name__
        no_threshold = {"thresholds": [_NO_THRESHOLD]}
        return {
            _CONFUSION: TfmaMetric("MultiClassConfusionMatrixAtThresholds", no_threshold),
            _AUC_BY_LABEL: TfmaMetric("AucByLabel", module=module),
            _RELIABILITY: TfmaMetric("Reliability", module=module),
            _CROSS_ENTROPY: TfmaMetric("SparseCategoricalCrossentropy"),
            _TOP_K: TfmaMetric("TopKAccuracy", {"k": TOP_K}, module),
        }

    def _slice(self, values: Mapping[str, Any]) -> tuple[SingleLabelSlice, dict[str, Any]]:
        matrix = _dense(values[_CONFUSION], len(self._labels))
        bins = values[_RELIABILITY]
        confusion = [
            [self._labels[true], self._labels[guess], int(matrix[true, guess])]
            for true, guess in np.argwhere(matrix)
        ]
        of_slice = SingleLabelSlice(
            self._per_label(matrix, values[_AUC_BY_LABEL]),
            bins.tolist(),
            bool(np.isfinite(bins).all()),
            matrix,
            _shortest(values[_CROSS_ENTROPY]),
            _shortest(values[_TOP_K]),
        )
        return of_slice, {_CONFUSION: confusion}

    def slice_of(self, rows: Answers) -> SingleLabelSlice:
        """The slice of some answers; `actual` is one-hot."""
        labels, probabilities = rows.actual.argmax(axis=1), rows.probabilities
        count, top = len(self._labels), probabilities.argmax(axis=1)
        matrix = np.bincount(labels * count + top, minlength=count**2).reshape(count, count)
        highest = np.take_along_axis(probabilities, top[:, np.newaxis], axis=1)[:, 0]
        return SingleLabelSlice(
            self._per_label(matrix, one_versus_rest_auc(labels, probabilities)),
            binned(highest, top == labels).tolist(),
            bool(np.isfinite(probabilities).all()),
            matrix,
            tfma_metrics.cross_entropy(labels, probabilities),
            tfma_metrics.top_k_accuracy(labels, probabilities, TOP_K),
        )

    def _per_label(self, matrix: Any, areas: Any) -> list[dict[str, Any]]:
        right, predicted, actual = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
        columns = zip(self._labels, right, predicted, actual, areas, strict=True)
        return [
            _label_row(label, *counts) | {"auc": json_number(area)}
            for label, *counts, area in columns
        ]


class MultiLabelMetrics(SliceMetrics):
    """Metrics of a model that gives an image several labels, each from its own threshold on.

    Args:
        labels: The labels in the order of their indices.
        thresholds: The probability from which on an image has a label, by label.
    """

    multi_label = True

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float]) -> None:
        super().__init__(labels)
        self._thresholds = tuple(thresholds)

    def label_array(self, row: Row) -> Any:
        """Which labels the image has, bool [K]."""
        return self.has_labels(row)

    def has_labels(self, row: Mapping[str, Any]) -> Any:
        """Which labels the image has, bool [K]."""
        return _marked(len(self._labels), row["label_indices"])

    def _gathered(self) -> dict[str, TfmaMetric]:
        return {_ANSWERS: TfmaMetric("AllAnswers", module=tfma_metrics.__name__)}

    def _slice(self, values: Mapping[str, Any]) -> tuple[MultiLabelSlice, dict[str, Any]]:
        return self.slice_of(Answers(*values[_ANSWERS])), {}

    def slice_of(self, rows: Answers) -> MultiLabelSlice:
        """The slice of some answers; its reliability is of every label of every image."""
        actual, probabilities = rows.actual, rows.probabilities
        predicted = probabilities >= np.array(self._thresholds, np.float32)
        per_label = [
            self._label_row(place, actual[:, place], predicted[:, place], probabilities[:, place])
            for place in range(len(self._labels))
        ]
        bins = binned(probabilities.ravel(), actual.ravel()).tolist()
        finite = bool(np.isfinite(probabilities).all())
        return MultiLabelSlice(per_label, bins, finite, actual, predicted, probabilities)

    def _label_row(
        self, place: int, actual: Any, predicted: Any, probabilities: Any
    ) -> dict[str, Any]:
        hits = (actual & predicted).sum()
        return _label_row(self._labels[place], hits, predicted.sum(), actual.sum()) | {
            "threshold": self._thresholds[place],
            "average_precision": json_number(average_precision(actual, probabilities)),
            "auc": json_number(roc_auc(actual, probabilities)),
        }


def metrics_of(model: Model) -> SliceMetrics:
    """What computes a model's metrics."""
    if model.thresholds is None:
        return SingleLabelMetrics(model.labels)
    return MultiLabelMetrics(model.labels, model.thresholds)


def _marked(count: int, places: int | Sequence[int]) -> npt.NDArray[np.bool_]:
    marked = np.zeros(count, np.bool_)
    marked[places] = True
    return marked


def json_number(value: float) -> float | None:
    """The number; None for not-a-number and infinity, which JSON cannot write."""
    return float(value) if math.isfinite(value) else None


def _label_row(label: str, hits: Any, predicted: Any, actual: Any) -> dict[str, Any]:
    """Precision, recall and F1 of a label, 0 where they divide by nothing."""
    return {
        "label": label,
        "count": int(actual),
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, actual),
        "f1": ratio(2 * hits, predicted + actual),
    }


def _dense(matrices: Mapping[float, Mapping[Any, float]], labels: int) -> Any:
    """The confusion matrix as int64 [K, K]: rows are labels, columns what was predicted."""
    matrix = np.zeros((labels, labels), np.int64)
    for entry, count in matrices[_NO_THRESHOLD].items():
        matrix[entry.actual_class_id, entry.predicted_class_id] = round(count)
    return matrix


def _shortest(value: Any) -> float:
    """A float32 as the decimal it stands for, so that a share of 0.9 is not below 0.9."""
    return float(str(np.float32(value)))
