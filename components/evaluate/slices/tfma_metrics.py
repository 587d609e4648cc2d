"""Our own TFMA metrics: they gather what the metrics of a slice are computed from.

TFMA's AUC handles one label at a time and takes minutes at a hundred labels, and counts a label
that a slice lacks as 0; its calibration is for two-class models only.
"""

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow_model_analysis as tfma

BINS = 10
_SMALLEST = 1e-7
"""In the cross entropy, probabilities are kept this far from 0 and 1, as in Keras."""

_Floats = npt.NDArray[np.float64]
_Answers = tuple[npt.NDArray[Any], npt.NDArray[np.float32]]


def binned(probabilities: npt.NDArray[Any], right: npt.NDArray[Any]) -> _Floats:
    """Sums by bin of probability: answers, probabilities and right answers; float64 [BINS, 3].

    Args:
        probabilities: [N].
        right: Whether the answers that have them are right, bool [N].
    """
    finite = np.isfinite(probabilities)
    # Not-a-number falls in the first bin, and makes the calibration error not-a-number too.
    scaled = np.where(finite, probabilities, 0) * BINS
    places = np.minimum(scaled.astype(np.int64), BINS - 1)
    columns = (np.ones(len(places)), probabilities, right)
    sums = [np.bincount(places, column.astype(np.float64), BINS) for column in columns]
    return np.stack(sums, axis=1)


class _BinTopProbability(beam.CombineFn):  # type: ignore[misc]
    """Sums by bin of the top probability, as `binned` gives them."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def create_accumulator(self) -> _Floats:
        return np.zeros((BINS, 3))

    def add_input(self, bins: _Floats, element: Any) -> _Floats:
        probabilities = np.asarray(element.predictions)
        top = np.argmax(probabilities, keepdims=True)
        return bins + binned(probabilities[top], top == np.ravel(element.labels))

    def merge_accumulators(self, accumulators: Iterable[_Floats]) -> _Floats:
        bins: _Floats = np.sum(list(accumulators), axis=0)
        return bins

    def extract_output(self, bins: _Floats) -> dict[Any, Any]:
        return {self._key: bins}


class _CountTopK(beam.CombineFn):  # type: ignore[misc]
    """Counts the images, and those whose label is among the k most probable."""

    def __init__(self, key: Any, k: int) -> None:
        self._key = key
        self._k = k

    def create_accumulator(self) -> _Floats:
        return np.zeros(2)

    def add_input(self, counts: _Floats, element: Any) -> _Floats:
        # A stable order: of equal probabilities the first label wins, as in `argmax`. Keras
        # counts all of them as hits, so that a model that knows nothing is right every time.
        order = np.argsort(-np.asarray(element.predictions), kind="stable")
        hit = np.ravel(element.labels)[0] in order[: self._k]
        counts += (1, hit)
        return counts

    def merge_accumulators(self, accumulators: Iterable[_Floats]) -> _Floats:
        counts: _Floats = np.sum(list(accumulators), axis=0)
        return counts

    def extract_output(self, counts: _Floats) -> dict[Any, Any]:
        return {self._key: counts[1] / counts[0]}


class _GatherAnswers(beam.CombineFn):  # type: ignore[misc]
    """Gathers labels and probabilities: a few bytes a label and image, small beside an image."""

    def __init__(self, key: Any, finish: Callable[[Any, Any], Any]) -> None:
        self._key = key
        self._finish = finish

    def create_accumulator(self) -> list[_Answers]:
        return []

    def add_input(self, gathered: list[_Answers], element: Any) -> list[_Answers]:
        labels = np.ravel(element.labels)[np.newaxis]
        gathered.append((labels, np.asarray(element.predictions, np.float32)[np.newaxis]))
        return gathered

    def merge_accumulators(self, accumulators: Iterable[list[_Answers]]) -> list[_Answers]:
        return [part for gathered in accumulators for part in gathered]

    def compact(self, gathered: list[_Answers]) -> list[_Answers]:
        if len(gathered) < 2:
            return gathered
        labels, probabilities = zip(*gathered, strict=True)
        return [(np.concatenate(labels), np.concatenate(probabilities))]

    def extract_output(self, gathered: list[_Answers]) -> dict[Any, Any]:
        [(labels, probabilities)] = self.compact(gathered)
        return {self._key: self._finish(labels, probabilities)}


def _auc_by_label(labels: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> _Floats:
    return one_versus_rest_auc(labels[:, 0], probabilities)


def _answers(labels: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> _Answers:
    return labels.astype(np.bool_), probabilities


def _bins_computation(name: str) -> list[Any]:
    key = tfma.metrics.MetricKey(name=name)
    return _computation(key, _BinTopProbability(key))


def _top_k_computation(name: str, k: int) -> list[Any]:
    key = tfma.metrics.MetricKey(name=name)
    return _computation(key, _CountTopK(key, k))


def _auc_computation(name: str) -> list[Any]:
    key = tfma.metrics.MetricKey(name=name)
    return _computation(key, _GatherAnswers(key, _auc_by_label))


def _answers_computation(name: str) -> list[Any]:
    key = tfma.metrics.MetricKey(name=name)
    return _computation(key, _GatherAnswers(key, _answers))


def _computation(key: Any, combiner: Any) -> list[Any]:
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=combiner)]


class Reliability(tfma.metrics.Metric):  # type: ignore[misc]
    """Of a single-label model, sums by bin of the top probability, float64 [BINS, 3]."""

    def __init__(self, name: str) -> None:
        super().__init__(_bins_computation, name=name)


class TopKAccuracy(tfma.metrics.Metric):  # type: ignore[misc]
    """Of a single-label model, the share of images whose label is among the k most probable.

    Args:
        name: Its name.
        k: How many labels count.
    """

    def __init__(self, name: str, k: int) -> None:
        super().__init__(_top_k_computation, name=name, k=k)


class AucByLabel(tfma.metrics.Metric):  # type: ignore[misc]
    """Of a single-label model, the AUC of each label against the rest, float64 [K]."""

    def __init__(self, name: str) -> None:
        super().__init__(_auc_computation, name=name)


class AllAnswers(tfma.metrics.Metric):  # type: ignore[misc]
    """Of a multi-label model, which labels images have, bool [N, K], and float32 [N, K]."""

    def __init__(self, name: str) -> None:
        super().__init__(_answers_computation, name=name)


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


def cross_entropy(labels: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]) -> float:
    """The mean cross entropy in nats, as Keras computes it.

    Args:
        labels: Label indices, int [N].
        probabilities: [N, K].
    """
    kept = np.clip(probabilities.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    of_label = np.take_along_axis(kept, labels[:, np.newaxis], axis=1)[:, 0]
    return float(-np.log(of_label / kept.sum(axis=1)).mean())


def top_k_accuracy(
    labels: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any], k: int
) -> float:
    """The share of images whose label is among the k most probable, of equal ones the first.

    Args:
        labels: Label indices, int [N].
        probabilities: [N, K].
        k: How many labels count.
    """
    of_label = np.take_along_axis(probabilities, labels[:, np.newaxis], axis=1)
    earlier = np.arange(probabilities.shape[1]) < labels[:, np.newaxis]
    before = (probabilities > of_label) | ((probabilities == of_label) & earlier)
    return float((before.sum(axis=1) < k).mean())


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
