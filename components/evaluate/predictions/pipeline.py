"""One Beam pipeline over the photographs that are judged: it writes what the models say of them."""

from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.evaluate.predictions.features import ORIENTATION
from components.evaluate.predictions.predict import BATCH_SIZE, Predict, ScoredModel
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.examples import LABEL, MEASURE_TYPES, Examples
from darkroom.artifacts.model import Model
from darkroom.artifacts.predictions import PREDICTIONS, SUFFIX, prediction_schema
from darkroom.artifacts.saved_model import plain_path
from darkroom.beam.options import beam_arguments, worker_message
from darkroom.errors import StepError
from darkroom.records.tfrecord import read_records
from darkroom.runtime.allocator import keep_freed_memory


def write_predictions(
    examples: Examples,
    model: Model,
    settings: EvaluateSettings,
    folder: Path,
    champion: Model | None = None,
) -> None:
    """Runs the model over the test and the valid split, and the champion over the test split.

    Args:
        examples: Examples with a test split that is not empty.
        model: The model.
        settings: The evaluate step's settings.
        folder: Where `predictions-*.parquet` go.
        champion: The model to compare with.

    Raises:
        StepError: The model lacks the signature or cannot read an image, or a shard is damaged.
    """
    keep_freed_memory()
    try:
        _run_pipeline(examples, model, settings, folder, champion)
    except Exception as error:
        message = worker_message(error)
        if message is None:
            raise
        raise StepError(message) from error


def _run_pipeline(
    examples: Examples,
    model: Model,
    settings: EvaluateSettings,
    folder: Path,
    champion: Model | None,
) -> None:
    known = examples.feature_types
    features = _features(examples, settings)
    # What follows from other features is text.
    types = {name: known.get(name, "bytes") for name in features}
    several = model.thresholds is not None
    schema = prediction_schema(len(model.labels), types, several, champion is not None)
    scored = ScoredModel(str(model.folder), model.labels)
    rival = None if champion is None else ScoredModel(str(champion.folder), champion.labels)
    options = PipelineOptions(beam_arguments(settings.beam_options))
    # Beam takes the path of a file for a pattern too, when it gives it its name.
    prefix = str(plain_path(folder) / PREDICTIONS)
    with beam.Pipeline(options=options) as pipeline:
        predicted = []
        for split, asked in (("test", rival), ("valid", None)):
            if not examples.counts.get(split):
                continue
            count = examples.counts[split]
            predict = Predict(scored, schema, features, several, split, count, asked)
            predicted.append(
                pipeline
                | f"Shards of {split}" >> beam.Create(examples.shards(split))
                | f"Spread shards of {split}" >> beam.Reshuffle()
                | f"Read {split}" >> beam.FlatMap(read_records)
                | f"Batch {split}" >> beam.BatchElements(BATCH_SIZE, BATCH_SIZE)
                | f"Predict {split}" >> beam.ParDo(predict)
            )
        _ = (
            predicted
            | "Both splits" >> beam.Flatten()
            | "Write"
            >> beam.io.WriteToParquetBatched(prefix, schema, codec="zstd", file_name_suffix=SUFFIX)
        )


def _features(examples: Examples, settings: EvaluateSettings) -> list[str]:
    """The features that slices, or the search for weak ones, ask for."""
    looked_at = settings.weak_slices.features
    if looked_at is None:
        looked_at = (LABEL, ORIENTATION, *MEASURE_TYPES, *examples.columns)
    return list(dict.fromkeys((*settings.sliced_features, *settings.fairness.columns, *looked_at)))
