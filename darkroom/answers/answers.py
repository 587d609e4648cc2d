"""What metrics are computed from: a model's answers to some images, and what is right."""

import abc
import dataclasses
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from darkroom.answers.curves import average_precision, roc_auc

BINS = 10
"""Bins of the reliability diagram and of the calibration error."""
_SMALLEST = float(np.finfo(np.float32).eps)
"""In the log loss, probabilities are kept this far from 0 and 1, as in scikit-learn."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class Answers(abc.ABC):
    """Answers to N images of a model with K labels.

    What is computed of them is computed once, and only when it is asked for.

    Attributes:
        labels: The labels in the order of their indices.
        probabilities: float32 [N, K].
    """

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]

    @abc.abstractmethod
    def take(self, places: Any) -> Self:
        """The answers to the images at these places, each as often as it is named."""

    @property
    @abc.abstractmethod
    def actual(self) -> Bools:
        """Which labels the images have, bool [N, K]."""

    @property
    @abc.abstractmethod
    def is_right(self) -> Bools:
        """Whether the answer to each image is right, bool [N]."""

    @property
    @abc.abstractmethod
    def counts(self) -> tuple[Floats, Floats, Floats]:
        """By label, how often it is given rightly, is given, and is there; float64 [K] each."""

    @property
    @abc.abstractmethod
    def reliability(self) -> Floats:
        """By bin of probability the answers, their probabilities, those right; [BINS, 3]."""

    @property
    @abc.abstractmethod
    def log_loss(self) -> float:
        """The mean cross entropy, in nats."""

    def has(self, label: int) -> Bools:
        """Which images have a label, bool [N]."""
        having: Bools = self.actual[:, label]
        return having

    @property
    def count(self) -> int:
        """The number of images, N."""
        return len(self.probabilities)

    @cached_property
    def finite(self) -> bool:
        """Whether all probabilities are numbers."""
        return bool(np.isfinite(self.probabilities).all())

    @property
    def support(self) -> Floats:
        """The number of images of each label, float64 [K]."""
        return self.counts[2]

    @property
    def present(self) -> Bools:
        """Which labels have images, bool [K]."""
        having: Bools = self.support > 0
        return having

    @property
    def precision(self) -> Floats:
        """Share of the images given a label that have it, float64 [K]; 0 of none."""
        hits, given, _ = self.counts
        return _shares(hits, given)

    @property
    def recall(self) -> Floats:
        """Share of the images of a label that are given it, float64 [K]; 0 of none."""
        hits, _, there = self.counts
        return _shares(hits, there)

    @property
    def f1(self) -> Floats:
        """The harmonic mean of precision and recall, float64 [K]."""
        return self.f_beta(1.0)

    def f_beta(self, beta: float) -> Floats:
        """F-beta by label, where recall counts `beta` times as much as precision; float64 [K]."""
        hits, given, there = self.counts
        return _shares((1 + beta**2) * hits, given + beta**2 * there)

    @cached_property
    def auc(self) -> Floats:
        """Area under each label's ROC curve against the rest, float64 [K].

        Not-a-number where no image has the label, or all have it.
        """
        return self._by_label(roc_auc)

    @cached_property
    def average_precision(self) -> Floats:
        """Average precision of each label, float64 [K]; not-a-number where no image has it."""
        return self._by_label(average_precision)

    def _by_label(self, area: Any) -> Floats:
        areas = np.full(len(self.labels), np.nan)
        for label in np.flatnonzero(self.present):
            areas[label] = area(self.has(int(label)), self.probabilities[:, label])
        return areas


@dataclasses.dataclass(frozen=True, eq=False)
class SingleLabelAnswers(Answers):
    """Answers of a model that gives an image one label of several.

    Attributes:
        indices: The label of each image, int64 [N].
        costs: What it costs to predict a label (column) for an image of another (row), float64
            [K, K]; None where it is not stated.
        beta: How much more recall counts than precision; None where it is not stated.
        positive: Of a model of two labels with a positive one its place, and the probability from
            which on it is given; else None.
    """

    indices: npt.NDArray[np.int64]
    costs: Floats | None = None
    beta: float | None = None
    positive: tuple[int, float] | None = None

    def take(self, places: Any) -> Self:
        """The answers to the images at these places."""
        return dataclasses.replace(
            self, probabilities=self.probabilities[places], indices=self.indices[places]
        )

    @cached_property
    def actual(self) -> Bools:
        """Which label the images have, one-hot; bool [N, K]."""
        one_hot: Bools = self.indices[:, np.newaxis] == np.arange(len(self.labels))
        return one_hot

    def has(self, label: int) -> Bools:
        """Which images have a label, bool [N]."""
        having: Bools = self.indices == label
        return having

    @cached_property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The label that each image is given, int64 [N].

        The most probable, and of equal ones the first; of a model with a positive label that
        from its threshold on.
        """
        if self.positive is not None:
            place, threshold = self.positive
            is_positive = self.probabilities[:, place] >= np.float32(threshold)
            return np.where(is_positive, place, 1 - place)
        top: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return top

    @property
    def is_right(self) -> Bools:
        """Whether the answer to each image is right, bool [N]."""
        right: Bools = self.predicted == self.indices
        return right

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """The number of images by label and predicted label, int64 [K, K]."""
        width = len(self.labels)
        cells = np.bincount(self.indices * width + self.predicted, minlength=width**2)
        return cells.reshape(width, width)

    @cached_property
    def counts(self) -> tuple[Floats, Floats, Floats]:
        """By label, how often it is given rightly, is given, and is there."""
        width = len(self.labels)
        chosen = (self.indices[self.is_right], self.predicted, self.indices)
        hits, given, there = (np.bincount(each, minlength=width).astype(float) for each in chosen)
        return hits, given, there

    @cached_property
    def reliability(self) -> Floats:
        """By bin of probability the answers, their probabilities, those right."""
        highest = np.take_along_axis(self.probabilities, self.predicted[:, np.newaxis], axis=1)
        return binned(highest[:, 0], self.is_right)

    @property
    def of_label(self) -> npt.NDArray[np.float32]:
        """The probability of each image's own label, float32 [N]."""
        own: npt.NDArray[np.float32] = np.take_along_axis(
            self.probabilities, self.indices[:, np.newaxis], axis=1
        )[:, 0]
        return own

    @property
    def log_loss(self) -> float:
        """The mean cross entropy, in nats."""
        kept = np.clip(self.of_label.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
        return float(-np.log(kept).mean())

    @property
    def brier(self) -> float:
        """The mean squared distance of the probabilities from 0 and 1; of two labels, half of it.

        Brier, Monthly Weather Review 1950; halved for two labels as it is usual, from 0 to 1.
        """
        probabilities = self.probabilities.astype(np.float64)
        own = self.of_label.astype(np.float64)
        distances = (probabilities**2).sum(axis=1) - own**2 + (1 - own) ** 2
        return float(distances.mean()) / (2 if len(self.labels) == 2 else 1)

    def in_top(self, k: int) -> Bools:
        """Whether each image's label is among the k most probable, bool [N].

        Of equal probabilities the last labels count, as in scikit-learn.
        """
        own = self.of_label[:, np.newaxis]
        later = np.arange(len(self.labels)) > self.indices[:, np.newaxis]
        before = (self.probabilities > own) | ((self.probabilities == own) & later)
        top: Bools = before.sum(axis=1) < k
        return top


@dataclasses.dataclass(frozen=True, eq=False)
class MultiLabelAnswers(Answers):
    """Answers of a model that gives an image several labels, each from its own threshold on.

    Attributes:
        having: Which labels the images have, bool [N, K].
        thresholds: The probability from which on an image has a label, float32 [K].
        beta: How much more recall counts than precision; None where it is not stated.
    """

    having: Bools
    thresholds: npt.NDArray[np.float32]
    beta: float | None = None

    def take(self, places: Any) -> Self:
        """The answers to the images at these places."""
        return dataclasses.replace(
            self, probabilities=self.probabilities[places], having=self.having[places]
        )

    @property
    def actual(self) -> Bools:
        """Which labels the images have, bool [N, K]."""
        return self.having

    @cached_property
    def predicted(self) -> Bools:
        """Which labels the model gives the images, bool [N, K]."""
        over: Bools = self.probabilities >= self.thresholds
        return over

    @property
    def is_right(self) -> Bools:
        """Whether the answer to each image is right, bool [N]."""
        right: Bools = (self.actual == self.predicted).all(axis=1)
        return right

    @cached_property
    def counts(self) -> tuple[Floats, Floats, Floats]:
        """By label, how often it is given rightly, is given, and is there."""
        chosen = (self.actual & self.predicted, self.predicted, self.actual)
        hits, given, there = (each.sum(axis=0).astype(float) for each in chosen)
        return hits, given, there

    @cached_property
    def reliability(self) -> Floats:
        """By bin of probability the answers, their probabilities, those right."""
        return binned(self.probabilities.ravel(), self.actual.ravel())

    @property
    def log_loss(self) -> float:
        """The mean cross entropy, in nats."""
        probabilities = self.probabilities.astype(np.float64)
        right = np.where(self.actual, probabilities, 1 - probabilities)
        return float(-np.log(np.clip(right, _SMALLEST, 1 - _SMALLEST)).mean())

    @property
    def brier(self) -> float:
        """The mean squared distance of each label's probability from 0 or 1."""
        return float(((self.probabilities.astype(np.float64) - self.actual) ** 2).mean())


def binned(probabilities: npt.NDArray[Any], right: npt.NDArray[Any]) -> Floats:
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


def _shares(parts: Floats, wholes: Floats) -> Floats:
    """Shares; 0 of nothing."""
    return np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)


def label_rows(answers: Answers) -> list[dict[str, Any]]:
    """What there is of each label, for a table: None where a label has no such number."""
    columns = {
        "precision": answers.precision,
        "recall": answers.recall,
        "f1": answers.f1,
        "auc": answers.auc,
        "average_precision": answers.average_precision,
    }
    if isinstance(answers, MultiLabelAnswers):
        columns["threshold"] = answers.thresholds.astype(np.float64)
    rows: Sequence[tuple[float, ...]] = list(zip(*columns.values(), strict=True))
    return [
        {"label": label, "count": int(count)}
        | {
            name: float(value) if np.isfinite(value) else None
            for name, value in zip(columns, row, strict=True)
        }
        for label, count, row in zip(answers.labels, answers.support, rows, strict=True)
    ]
