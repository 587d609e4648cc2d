"""Metrics of all test images and of every slice, by TensorFlow Model Analysis.

Beam's workers import this module; the step imports it only when it works.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.artifacts.examples import LABEL
from components.evaluate import calibration, ranking
from components.evaluate.calibration import calibration_error
from components.evaluate.known_metrics import TOP_K, TOP_K_ACCURACY
from components.evaluate.prediction import Row

_CONFUSION = "confusion"
_COUNT = "example_count"
# No probability is under this threshold, so that every image counts as its most probable label.
_NO_THRESHOLD = -1.0

_METRICS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    (_COUNT, "ExampleCount", "", {}),
    (
        *(_CONFUSION, "MultiClassConfusionMatrixAtThresholds", ""),
        {"thresholds": [_NO_THRESHOLD]},
    ),
    ("log_loss", "SparseCategoricalCrossentropy", "", {}),
    (TOP_K_ACCURACY, "SparseTopKCategoricalAccuracy", "", {"k": TOP_K}),
    (ranking.NAME, "AucByLabel", ranking.__name__, {}),
    (calibration.NAME, "Reliability", calibration.__name__, {}),
)
"""Name, class, module (none for TFMA's and Keras' own) and options of what TFMA measures."""


class MeasureSlices(beam.PTransform):  # type: ignore[misc]
    """Turns prediction rows into one JSON mapping a slice, as `slice_result` gives it."""

    def __init__(self, labels: Sequence[str], slices: Sequence[str]) -> None:
        super().__init__()
        self._labels = tuple(labels)
        self._config = _eval_config(len(labels), slices)

    def expand(self, rows: Any) -> Any:
        """Measures a PCollection of rows."""
        extractor = tfma.extractors.SliceKeyExtractor(eval_config=self._config, materialize=False)
        (evaluator,) = tfma.default_evaluators(eval_config=self._config)
        measured = (
            rows
            | "To extracts" >> beam.Map(_extracts)
            | extractor.stage_name >> extractor.ptransform
            | evaluator.stage_name >> evaluator.ptransform
        )
        return measured[tfma.METRICS_KEY] | "To results" >> beam.Map(slice_result, self._labels)


def _eval_config(labels: int, slices: Sequence[str]) -> Any:
    config = config_pb2.EvalConfig()
    config.model_specs.add(label_key=LABEL)
    metrics = config.metrics_specs.add().metrics
    for name, class_name, module, options in _METRICS:
        if name != TOP_K_ACCURACY or labels > TOP_K:
            text = json.dumps({"name": name, **options})
            metrics.add(class_name=class_name, module=module, config=text)
    config.slicing_specs.add()
    for name in slices:
        config.slicing_specs.add(feature_keys=[name])
    return config


def _extracts(row: Row) -> dict[str, Any]:
    """What TFMA's extractors would give for a row."""
    features = {
        name: np.array([] if value is None else [value]) for name, value in row["slices"].items()
    }
    return {
        tfma.LABELS_KEY: np.array([row["label_index"]]),
        tfma.PREDICTIONS_KEY: np.array(row["probabilities"], np.float32),
        tfma.FEATURES_KEY: features,
        tfma.EXAMPLE_WEIGHTS_KEY: None,
    }


def slice_result(
    measured: tuple[Sequence[tuple[str, Any]], Mapping[Any, Any]], labels: Sequence[str]
) -> dict[str, Any]:
    """One slice's metrics out of TFMA's.

    Args:
        measured: The slice as pairs of feature and value (none for all images), and values by
            TFMA's metric key.
        labels: The labels in the order of their indices.

    Returns:
        `slice` (value by feature), `count` and `metrics` (None is not a number; what a slice
        cannot have is left out). For all images also `per_label`, `confusion` (label, predicted
        label and number of images of every pair that occurs) and `reliability` (bins as
        `calibration_error` takes them).
    """
    slice_key, by_key = measured
    values = {key.name: value for key, value in by_key.items()}
    matrix = _dense(values[_CONFUSION], len(labels))
    per_label = _per_label(matrix, values[ranking.NAME], labels)
    bins = values[calibration.NAME].tolist()
    metrics = {"accuracy": _ratio(np.trace(matrix), matrix.sum())}
    for name in ("log_loss", TOP_K_ACCURACY):
        if name in values:
            metrics[name] = _shortest(values[name])
    metrics |= _macro_averages(per_label, math.isfinite(metrics["log_loss"]))
    metrics["calibration_error"] = calibration_error(bins)
    result = {
        "slice": dict(slice_key),
        "count": int(values[_COUNT]),
        "metrics": {name: _json_number(value) for name, value in metrics.items()},
    }
    if slice_key:
        return result
    return result | {
        "per_label": per_label,
        "confusion": [
            [labels[true], labels[predicted], int(matrix[true, predicted])]
            for true, predicted in np.argwhere(matrix)
        ],
        "reliability": [[_json_number(value) for value in row] for row in bins],
    }


def _macro_averages(per_label: Sequence[Mapping[str, Any]], finite: bool) -> dict[str, float]:
    """Averages over the labels with images; no AUC where no label has one."""
    present = [row for row in per_label if row["count"]]
    averages = {
        f"macro_{name}": _mean([row[name] for row in present])
        for name in ("precision", "recall", "f1")
    }
    areas = [row["auc"] for row in present if row["auc"] is not None]
    if areas:
        averages["auc"] = _mean(areas) if finite else math.nan
    return averages


def _dense(matrices: Mapping[float, Mapping[Any, float]], labels: int) -> Any:
    """The confusion matrix as int64 [K, K]: rows are labels, columns what was predicted."""
    matrix = np.zeros((labels, labels), np.int64)
    for entry, count in matrices[_NO_THRESHOLD].items():
        matrix[entry.actual_class_id, entry.predicted_class_id] = round(count)
    return matrix


def _per_label(matrix: Any, areas: Any, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of every label, 0 where they divide by nothing."""
    right = np.diag(matrix)
    predicted, true = matrix.sum(axis=0), matrix.sum(axis=1)
    columns = zip(labels, right, predicted, true, areas, strict=True)
    return [
        {
            "label": label,
            "count": int(of_label),
            "precision": _ratio(hits, predictions),
            "recall": _ratio(hits, of_label),
            "f1": _ratio(2 * hits, predictions + of_label),
            "auc": _json_number(area),
        }
        for label, hits, predictions, of_label, area in columns
    ]


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _shortest(value: Any) -> float:
    """A float32 as the decimal it stands for, so that a share of 0.9 is not below 0.9."""
    return float(str(np.float32(value)))


def _json_number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
