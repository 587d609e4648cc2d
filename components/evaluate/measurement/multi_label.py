"""The metrics of a model that gives an image several labels, each from its own threshold on.

Beam's workers import this module; the step imports it only when it works.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow_model_analysis as tfma

from components.evaluate.measurement.calibration import binned
from components.evaluate.measurement.prediction import Row
from components.evaluate.measurement.ranking import average_precision, roc_auc
from components.evaluate.measurement.single_label import counted, made_of
from components.evaluate.measurement.slices import (
    Measured,
    Measurement,
    MetricConfig,
    json_number,
)
from components.evaluate.metrics.metric import MultiLabelResults
from components.evaluate.metrics.registry import metrics_of

NAME = "answers"

Answers = tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]
"""Which labels images have, bool [N, K], and what the model says, float32 [N, K]."""


class MultiLabelMeasurement(Measurement):
    """What TFMA measures of a multi-label model, and the results made of it.

    Args:
        labels: The labels in the order of their indices.
        thresholds: The probability from which on an image has a label, by label.
    """

    def __init__(self, labels: Sequence[str], thresholds: Sequence[float]) -> None:
        self._labels = tuple(labels)
        self._thresholds = tuple(thresholds)

    def tfma_metrics(self) -> list[MetricConfig]:
        """What TFMA is to measure."""
        return [(NAME, "AllAnswers", __name__, {})]

    def label_of(self, row: Row) -> Any:
        """Which labels the image has, bool [K]."""
        has = np.zeros(len(self._labels), np.bool_)
        has[row["label_indices"]] = True
        return has

    def measured(self, values: Mapping[str, Any]) -> Measured:
        """A slice's metrics and, of all images, `per_label` and `reliability`.

        The reliability is bins, as `metrics.probabilities.calibration_error` takes them, of every
        label of every image.
        """
        has, probabilities = values[NAME]
        says = probabilities >= np.array(self._thresholds, np.float32)
        bins = binned(probabilities.ravel(), has.ravel()).tolist()
        per_label = [
            self._of_label(place, has[:, place], says[:, place], probabilities[:, place])
            for place in range(len(self._labels))
        ]
        finite = bool(np.isfinite(probabilities).all())
        results = MultiLabelResults(has, says, probabilities, per_label, bins, finite)
        known = metrics_of(multi_label=True, labels=len(self._labels))
        metrics = made_of(results, ((metric.name, metric.multi_label) for metric in known))
        return metrics, {"per_label": per_label, "reliability": bins}

    def _of_label(self, place: int, has: Any, says: Any, probabilities: Any) -> dict[str, Any]:
        row = counted(self._labels[place], (has & says).sum(), says.sum(), has.sum())
        return row | {
            "threshold": self._thresholds[place],
            "average_precision": json_number(average_precision(has, probabilities)),
            "auc": json_number(roc_auc(has, probabilities)),
        }


class _Gather(beam.CombineFn):  # type: ignore[misc]
    """Gathers all answers: 5 bytes a label and image, small beside any photograph."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def create_accumulator(self) -> list[Answers]:
        return []

    def add_input(self, gathered: list[Answers], element: Any) -> list[Answers]:
        has = np.asarray(element.labels, np.bool_)[np.newaxis]
        gathered.append((has, np.asarray(element.predictions, np.float32)[np.newaxis]))
        return gathered

    def merge_accumulators(self, accumulators: Iterable[list[Answers]]) -> list[Answers]:
        return [part for gathered in accumulators for part in gathered]

    def compact(self, gathered: list[Answers]) -> list[Answers]:
        if len(gathered) < 2:
            return gathered
        has, probabilities = zip(*gathered, strict=True)
        return [(np.concatenate(has), np.concatenate(probabilities))]

    def extract_output(self, gathered: list[Answers]) -> dict[Any, Any]:
        return {self._key: self.compact(gathered)[0]}


def _computations(name: str = NAME) -> list[Any]:
    key = tfma.metrics.MetricKey(name=name)
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=_Gather(key))]


class AllAnswers(tfma.metrics.Metric):  # type: ignore[misc]
    """The TFMA metric: all `Answers` of a slice, of which the others are made."""

    def __init__(self, name: str = NAME) -> None:
        super().__init__(_computations, name=name)
