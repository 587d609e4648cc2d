"""One Beam pipeline over the photographs that are judged: it writes what the models say of them."""

from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.evaluate.predictions.predict import BATCH_SIZE, Predict, ScoredModel
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Model
from darkroom.artifacts.predictions import PREDICTIONS, SUFFIX, prediction_schema
from darkroom.artifacts.saved_model import plain_path
from darkroom.beam.options import beam_arguments, worker_message
from darkroom.errors import StepError
from darkroom.records.tfrecord import read_records


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
    features = settings.sliced_features
    types = {name: examples.feature_types[name] for name in features}
    multi_label = model.thresholds is not None
    schema = prediction_schema(len(model.labels), types, multi_label, champion is not None)
    scored = ScoredModel(str(model.folder), model.labels)
    rival = None if champion is None else ScoredModel(str(champion.folder), champion.labels)
    predict = Predict(
        *(scored, schema, features, multi_label, "test", examples.counts["test"]), rival
    )
    options = PipelineOptions(beam_arguments(settings.beam_options))
    # Beam takes the path of a file for a pattern too, when it gives it its name.
    prefix = str(plain_path(folder) / PREDICTIONS)
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | "Shards" >> beam.Create(examples.shards("test"))
            | "Spread shards" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(read_records)
            | "Batch" >> beam.BatchElements(BATCH_SIZE, BATCH_SIZE)
            | "Predict" >> beam.ParDo(predict)
            | "Write"
            >> beam.io.WriteToParquetBatched(prefix, schema, codec="zstd", file_name_suffix=SUFFIX)
        )
