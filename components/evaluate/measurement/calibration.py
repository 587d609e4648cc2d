"""Calibration of probabilities, and of the top one as a TFMA metric.

Of the images it is 90 % sure of, are 90 % right? TFMA calibrates two-class models only.
"""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma

NAME = "reliability"
BINS = 10

_Bins = np.ndarray[Any, Any]


def binned(probabilities: _Bins, right: _Bins) -> _Bins:
    """Sums by bin, float64 [BINS, 3], as `metrics.probabilities.calibration_error` takes them.

    Args:
        probabilities: [N].
        right: Whether what they are the probabilities of is so, bool [N].
    """
    finite = np.isfinite(probabilities)
    # Not-a-number falls in the first bin, and makes the error not-a-number as it should.
    scaled = np.where(finite, probabilities, 0) * BINS
    places = np.minimum(scaled.astype(np.int64), BINS - 1)
    columns = (np.ones(len(places)), probabilities, right)
    sums = [np.bincount(places, column.astype(np.float64), BINS) for column in columns]
    return np.stack(sums, axis=1)


class _BinTopProbability(beam.CombineFn):  # type: ignore[misc]
    """Sums of the top probability by bin, as `binned` gives them; float64 [BINS, 3]."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def create_accumulator(self) -> _Bins:
        return np.zeros((BINS, 3))

    def add_input(self, bins: _Bins, element: Any) -> _Bins:
        probabilities = np.asarray(element.predictions)
        top = np.argmax(probabilities, keepdims=True)
        return bins + binned(probabilities[top], top == np.ravel(element.labels))

    def merge_accumulators(self, accumulators: Iterable[_Bins]) -> _Bins:
        bins: _Bins = np.sum(list(accumulators), axis=0)
        return bins

    def extract_output(self, bins: _Bins) -> dict[Any, Any]:
        return {self._key: bins}


def _computations(name: str = NAME) -> list[Any]:
    key = tfma.metrics.MetricKey(name=name)
    combiner = _BinTopProbability(key)
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=combiner)]


class Reliability(tfma.metrics.Metric):  # type: ignore[misc]
    """The TFMA metric: float64 [BINS, 3], as `metrics.probabilities.calibration_error` takes it."""

    def __init__(self, name: str = NAME) -> None:
        super().__init__(_computations, name=name)
