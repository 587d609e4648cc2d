"""One Beam pipeline over the test split: predictions, and from them the metrics of every slice."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.intervals import wilson
from components.evaluate.metrics.metric import TfmaMetric
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.prediction import BATCH_SIZE, ChampionModel, Predict, Row
from components.evaluate.slices.slice_metrics import (
    SliceMetrics,
    json_number,
    metrics_of,
)
from darkroom.artifacts.evaluation import METRICS_FILE, PREDICTIONS
from darkroom.artifacts.examples import LABEL, Examples
from darkroom.artifacts.model import Model
from darkroom.artifacts.saved_model import plain_path
from darkroom.beam.options import beam_arguments, worker_message
from darkroom.errors import StepError
from darkroom.records.tfrecord import read_records
from darkroom.storage.atomic import write_json

_COUNT = "example_count"


def compute_metrics(
    examples: Examples,
    model: Model,
    settings: EvaluateSettings,
    folder: Path,
    champion: Model | None = None,
) -> list[dict[str, Any]]:
    """Runs the model over the test split and computes the metrics of every slice.

    Args:
        examples: Examples with a test split that is not empty.
        model: The model.
        settings: The evaluate step's settings.
        folder: Where `predictions-*.jsonl` and `metrics.json` go.
        champion: The model to compare with, whose predictions are written beside the model's.

    Returns:
        The results of all images and then of every slice, as `slice_result` gives them.

    Raises:
        StepError: The model lacks the signature or cannot read an image, or a shard is damaged.
    """
    try:
        _run_pipeline(examples, model, settings, folder, champion)
    except Exception as error:
        message = worker_message(error)
        if message is None:
            raise
        raise StepError(message) from error
    results = [_with_interval(result) for result in _gather_results(folder)]
    write_json(folder / METRICS_FILE, {"labels": list(model.labels), "slices": results})
    return results


def _run_pipeline(
    examples: Examples,
    model: Model,
    settings: EvaluateSettings,
    folder: Path,
    champion: Model | None,
) -> None:
    metrics = metrics_of(model)
    predict = Predict(
        str(model.folder),
        model.labels,
        settings.slices,
        metrics.multi_label,
        examples.counts["test"],
        None if champion is None else ChampionModel(str(champion.folder), champion.labels),
    )
    options = PipelineOptions(beam_arguments(settings.beam_options))
    # Beam takes the path of a file for a pattern too, when it gives it its name.
    folder = plain_path(folder)
    with beam.Pipeline(options=options) as pipeline:
        rows = (
            pipeline
            | "Shards" >> beam.Create(examples.shards("test"))
            | "Spread shards" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(read_records)
            | "Batch" >> beam.BatchElements(BATCH_SIZE, BATCH_SIZE)
            | "Predict" >> beam.ParDo(predict)
        )
        _ = (
            rows
            | "To lines" >> beam.Map(_json_line)
            | "Write predictions"
            >> beam.io.WriteToText(str(folder / PREDICTIONS), file_name_suffix=".jsonl")
        )
        _ = (
            rows
            | "Compute metrics" >> ComputeSliceMetrics(metrics, settings.slices)
            | "Results to lines" >> beam.Map(json.dumps)
            | "Write results" >> beam.io.WriteToText(str(folder / "results"))
        )


class ComputeSliceMetrics(beam.PTransform):  # type: ignore[misc]
    """Turns prediction rows into one JSON mapping a slice, as `slice_result` gives it."""

    def __init__(self, metrics: SliceMetrics, slices: Sequence[str]) -> None:
        super().__init__()
        self._metrics = metrics
        self._config = _eval_config(metrics, slices)

    def expand(self, rows: Any) -> Any:
        """Computes the metrics of a PCollection of rows."""
        extractor = tfma.extractors.SliceKeyExtractor(eval_config=self._config, materialize=False)
        (evaluator,) = tfma.default_evaluators(eval_config=self._config)
        evaluated = (
            rows
            | "To extracts" >> beam.Map(_extracts, self._metrics)
            | extractor.stage_name >> extractor.ptransform
            | evaluator.stage_name >> evaluator.ptransform
        )
        return evaluated[tfma.METRICS_KEY] | "To results" >> beam.Map(slice_result, self._metrics)


def _eval_config(metrics: SliceMetrics, slices: Sequence[str]) -> Any:
    config = config_pb2.EvalConfig()
    config.model_specs.add(label_key=LABEL)
    specs = config.metrics_specs.add().metrics
    for name, metric in ({_COUNT: TfmaMetric("ExampleCount")} | metrics.tfma_metrics()).items():
        text = json.dumps({"name": name, **metric.options})
        specs.add(class_name=metric.class_name, module=metric.module, config=text)
    config.slicing_specs.add()
    for name in slices:
        config.slicing_specs.add(feature_keys=[name])
    return config


def _extracts(row: Row, metrics: SliceMetrics) -> dict[str, Any]:
    """What TFMA's extractors would give for a row."""
    features = {name: np.array(_values(value)) for name, value in row["slices"].items()}
    return {
        tfma.LABELS_KEY: metrics.label_array(row),
        tfma.PREDICTIONS_KEY: np.array(row["probabilities"], np.float32),
        tfma.FEATURES_KEY: features,
        tfma.EXAMPLE_WEIGHTS_KEY: None,
    }


def _values(value: Any) -> list[Any]:
    """The values of a feature; the image is in a slice for each of them."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def slice_result(
    computed: tuple[Sequence[tuple[str, Any]], Mapping[Any, Any]], metrics: SliceMetrics
) -> dict[str, Any]:
    """The metrics of one slice, out of TFMA's.

    Args:
        computed: The slice as pairs of feature and value (none for all images), and values by
            TFMA's metric key.
        metrics: What computes the metrics.

    Returns:
        `slice` (value by feature), `count` and `metrics` (None is not a number; what a slice
        cannot have is left out). For all images also the details that `metrics` gives.
    """
    slice_key, by_key = computed
    values = {key.name: value for key, value in by_key.items()}
    of_slice, details = metrics.compute(values)
    result = {
        "slice": dict(slice_key),
        "count": int(values[_COUNT]),
        "metrics": {name: json_number(value) for name, value in of_slice.items()},
    }
    if slice_key:
        return result
    bins = [[json_number(value) for value in row] for row in details["reliability"]]
    return result | details | {"reliability": bins}


def _json_line(row: dict[str, Any]) -> str:
    """A row as JSON, with None for not-a-number, which JSON does not have."""
    row = _with_numbers(row)
    if "probabilities" in row.get("champion", {}):
        row["champion"] = _with_numbers(row["champion"])
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def _with_numbers(row: dict[str, Any]) -> dict[str, Any]:
    numbers = [value if math.isfinite(value) else None for value in row["probabilities"]]
    return row | {"probabilities": numbers}


def _gather_results(folder: Path) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for path in folder.glob("results-*"):
        with path.open(encoding="utf-8") as lines:
            results += map(json.loads, lines)
        path.unlink()
    return sorted(results, key=_slice_order)


def _with_interval(result: dict[str, Any]) -> dict[str, Any]:
    """A result with the interval of its accuracy, which is a share of its images."""
    accuracy, count = result["metrics"].get("accuracy"), result["count"]
    if accuracy is None:
        return result
    return result | {"intervals": {"accuracy": list(wilson(round(accuracy * count), count))}}


def _slice_order(result: dict[str, Any]) -> tuple[Any, ...]:
    """All images first, then by feature; a feature's values in their own order."""
    return tuple(result["slice"].items())
