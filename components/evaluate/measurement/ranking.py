"""AUC, one label against the rest, as a TFMA metric.

TFMA's own AUC handles one label at a time and takes minutes at a hundred labels; it counts a label
that a slice lacks as 0. This one is exact, handles all labels together, and leaves such out.
"""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

NAME = "auc_by_label"

_Gathered = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def one_versus_rest_auc(
    labels: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The area under the ROC curve of each label against the rest.

    Args:
        labels: Label indices, int [N].
        probabilities: [N, K].

    Returns:
        float64 [K]; not-a-number where all images have the label, or none has.
    """
    areas = np.full(probabilities.shape[1], np.nan)
    for index in np.unique(labels):
        areas[index] = roc_auc(labels == index, probabilities[:, index])
    return areas


def roc_auc(positive: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """The area under the ROC curve.

    Args:
        positive: Which images have the label, bool [N].
        scores: [N].

    Returns:
        The area; not-a-number where all images have the label, or none has.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not (positives and negatives):
        return float("nan")
    ranks = _average_ranks(scores)[positive].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(positive: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """The mean precision over the images that have the label, as the score falls.

    Args:
        positive: Which images have the label, bool [N].
        scores: [N]; images of equal scores count together.

    Returns:
        The mean; not-a-number where no image has the label.
    """
    if not positive.any():
        return float("nan")
    _, places = np.unique(-scores, return_inverse=True)
    hits = np.bincount(places, weights=positive)
    precision = np.cumsum(hits) / np.cumsum(np.bincount(places))
    return float((precision * hits).sum() / hits.sum())


def _average_ranks(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Ranks from 1, where equal scores share the mean of theirs."""
    _, positions, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[positions]


class _Gather(beam.CombineFn):  # type: ignore[misc]
    """Gathers labels and probabilities: 4 bytes a label and image, small beside any photograph."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def create_accumulator(self) -> _Gathered:
        return []

    def add_input(self, gathered: _Gathered, element: Any) -> _Gathered:
        probabilities = np.asarray(element.predictions)[np.newaxis]
        gathered.append((np.ravel(element.labels), probabilities))
        return gathered

    def merge_accumulators(self, accumulators: Iterable[_Gathered]) -> _Gathered:
        return [part for gathered in accumulators for part in gathered]

    def compact(self, gathered: _Gathered) -> _Gathered:
        if len(gathered) < 2:
            return gathered
        labels, probabilities = zip(*gathered, strict=True)
        return [(np.concatenate(labels), np.concatenate(probabilities))]

    def extract_output(self, gathered: _Gathered) -> dict[Any, Any]:
        [(labels, probabilities)] = self.compact(gathered)
        return {self._key: one_versus_rest_auc(labels, probabilities)}


def _computations(name: str = NAME) -> list[Any]:
    key = tfma.metrics.MetricKey(name=name)
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=_Gather(key))]


class AucByLabel(tfma.metrics.Metric):  # type: ignore[misc]
    """The TFMA metric: float64 [K], as `one_versus_rest_auc` gives it."""

    def __init__(self, name: str = NAME) -> None:
        super().__init__(_computations, name=name)
