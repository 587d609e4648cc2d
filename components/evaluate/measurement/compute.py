"""One Beam pipeline over the test split: predictions, and from them the metrics of every slice."""

import json
import math
from pathlib import Path
from typing import Any

from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.evaluation import METRICS_FILE, PREDICTIONS
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Model
from darkroom.beam.errors import worker_message
from darkroom.beam.options import beam_arguments
from darkroom.errors import StepError
from darkroom.records.tfrecord import read_records
from darkroom.storage.atomic import write_json


def measure(
    examples: Examples, model: Model, settings: EvaluateSettings, folder: Path
) -> list[dict[str, Any]]:
    """Runs the model over the test split and measures its answers.

    Args:
        examples: Examples with a test split that is not empty.
        model: The model.
        settings: The evaluate step's settings.
        folder: Where `predictions-*.jsonl` and `metrics.json` go.

    Returns:
        The results of all images and then of every slice, as `slices.slice_result` gives
        them.

    Raises:
        StepError: The model lacks the signature or cannot read an image, or a shard is damaged.
    """
    try:
        _run_pipeline(examples, model, settings, folder)
    except Exception as error:
        message = worker_message(error)
        if message is None:
            raise
        raise StepError(message) from error
    results = _gather_results(folder)
    write_json(folder / METRICS_FILE, {"labels": list(model.labels), "slices": results})
    return results


def _run_pipeline(
    examples: Examples, model: Model, settings: EvaluateSettings, folder: Path
) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.evaluate.measurement.multi_label import MultiLabelMeasurement
    from components.evaluate.measurement.prediction import BATCH_SIZE, Predict
    from components.evaluate.measurement.single_label import SingleLabelMeasurement
    from components.evaluate.measurement.slices import Measurement, MeasureSlices

    measurement: Measurement
    if model.thresholds is None:
        measurement = SingleLabelMeasurement(model.labels)
    else:
        measurement = MultiLabelMeasurement(model.labels, model.thresholds)
    multi_label = model.thresholds is not None
    predict = Predict(str(model.folder), model.labels, settings.slices, multi_label)
    options = PipelineOptions(beam_arguments(settings.beam_options))
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
            | "Measure" >> MeasureSlices(measurement, settings.slices)
            | "Results to lines" >> beam.Map(json.dumps)
            | "Write results" >> beam.io.WriteToText(str(folder / "results"))
        )


def _json_line(row: dict[str, Any]) -> str:
    """A row as JSON, which has no not-a-number: None stands for it."""
    numbers = [value if math.isfinite(value) else None for value in row["probabilities"]]
    return json.dumps(row | {"probabilities": numbers}, ensure_ascii=False, allow_nan=False)


def _gather_results(folder: Path) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for path in folder.glob("results-*"):
        with path.open(encoding="utf-8") as lines:
            results += map(json.loads, lines)
        path.unlink()
    return sorted(results, key=_slice_order)


def _slice_order(result: dict[str, Any]) -> tuple[Any, ...]:
    """All images first, then by feature; a feature's values in their own order."""
    return tuple(result["slice"].items())
