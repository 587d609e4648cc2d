"""Metrics of all test images and of every slice, by TensorFlow Model Analysis.

Beam's workers import this module; the step imports it only when it works.
"""

import abc
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.measurement.prediction import Row
from darkroom.artifacts.examples import LABEL

_COUNT = "example_count"

MetricConfig = tuple[str, str, str, dict[str, Any]]
"""Name, class, module (none for TFMA's and Keras' own) and options of what TFMA measurement."""
Measured = tuple[dict[str, float], dict[str, Any]]
"""A slice's metrics (what it cannot have is left out), and what is told of all images only."""


class Measurement(abc.ABC):
    """What TFMA measures of a kind of model, and the metrics made of that."""

    @abc.abstractmethod
    def tfma_metrics(self) -> list[MetricConfig]:
        """What TFMA is to measure."""

    @abc.abstractmethod
    def label_of(self, row: Row) -> Any:
        """What the image shows, as an array for the metrics."""

    @abc.abstractmethod
    def measured(self, values: Mapping[str, Any]) -> Measured:
        """The results of a slice, out of TFMA's values by name."""


class MeasureSlices(beam.PTransform):  # type: ignore[misc]
    """Turns prediction rows into one JSON mapping a slice, as `slice_result` gives it."""

    def __init__(self, measurement: Measurement, slices: Sequence[str]) -> None:
        super().__init__()
        self._measurement = measurement
        self._config = _eval_config(measurement, slices)

    def expand(self, rows: Any) -> Any:
        """Measures a PCollection of rows."""
        extractor = tfma.extractors.SliceKeyExtractor(eval_config=self._config, materialize=False)
        (evaluator,) = tfma.default_evaluators(eval_config=self._config)
        measured = (
            rows
            | "To extracts" >> beam.Map(_extracts, self._measurement)
            | extractor.stage_name >> extractor.ptransform
            | evaluator.stage_name >> evaluator.ptransform
        )
        return measured[tfma.METRICS_KEY] | "To results" >> beam.Map(
            slice_result, self._measurement
        )


def _eval_config(measurement: Measurement, slices: Sequence[str]) -> Any:
    config = config_pb2.EvalConfig()
    config.model_specs.add(label_key=LABEL)
    metrics = config.metrics_specs.add().metrics
    count: MetricConfig = (_COUNT, "ExampleCount", "", {})
    for name, class_name, module, options in (count, *measurement.tfma_metrics()):
        text = json.dumps({"name": name, **options})
        metrics.add(class_name=class_name, module=module, config=text)
    config.slicing_specs.add()
    for name in slices:
        config.slicing_specs.add(feature_keys=[name])
    return config


def _extracts(row: Row, measurement: Measurement) -> dict[str, Any]:
    """What TFMA's extractors would give for a row."""
    features = {name: np.array(_values(value)) for name, value in row["slices"].items()}
    return {
        tfma.LABELS_KEY: measurement.label_of(row),
        tfma.PREDICTIONS_KEY: np.array(row["probabilities"], np.float32),
        tfma.FEATURES_KEY: features,
        tfma.EXAMPLE_WEIGHTS_KEY: None,
    }


def _values(value: Any) -> list[Any]:
    """The values of a feature, for each of which the image is in a slice."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def slice_result(
    measured: tuple[Sequence[tuple[str, Any]], Mapping[Any, Any]], measurement: Measurement
) -> dict[str, Any]:
    """One slice's metrics out of TFMA's.

    Args:
        measured: The slice as pairs of feature and value (none for all images), and values by
            TFMA's metric key.
        measurement: What was measured.

    Returns:
        `slice` (value by feature), `count` and `metrics` (None is not a number; what a slice
        cannot have is left out). For all images also what `measurement` tells of them.
    """
    slice_key, by_key = measured
    values = {key.name: value for key, value in by_key.items()}
    metrics, details = measurement.measured(values)
    result = {
        "slice": dict(slice_key),
        "count": int(values[_COUNT]),
        "metrics": {name: json_number(value) for name, value in metrics.items()},
    }
    if slice_key:
        return result
    bins = [[json_number(value) for value in row] for row in details["reliability"]]
    return result | details | {"reliability": bins}


def json_number(value: float) -> float | None:
    """The number; None where it is none."""
    return float(value) if math.isfinite(value) else None
