"""One Beam pipeline over the photographs that are judged: it writes what the models say of them."""

import uuid
from contextlib import ExitStack
from pathlib import Path

import apache_beam as beam

from components.evaluate.predictions.features import ORIENTATION
from components.evaluate.predictions.predict import Predict, ScoredModel
from components.evaluate.predictions.tasks import WritePredictions, plan_tasks
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.examples import LABEL, MEASURE_TYPES, Examples
from darkroom.artifacts.model import Model
from darkroom.artifacts.predictions import prediction_schema
from darkroom.beam.remote import (
    download_all,
    pipeline_here,
    pipeline_on,
    remote_workers,
    shared_folder,
    with_reachable_shards,
)
from darkroom.errors import StepError
from darkroom.runtime.allocator import keep_freed_memory
from darkroom.storage.files import clear_errors
from darkroom.storage.folders import upload_folder
from darkroom.storage.paths import mounted_uri


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
    workers = remote_workers(settings.beam_options)
    tasks = [task for split in ("test", "valid") for task in plan_tasks(examples, split)]
    run = uuid.uuid4().hex
    scored = ScoredModel(str(model.folder.absolute()), model.labels, run)
    rival = None
    if champion is not None:
        rival = ScoredModel(str(champion.folder.absolute()), champion.labels, run)
    with ExitStack() as stack:
        if workers is None:
            place, pipeline = str(folder.absolute()), pipeline_here(settings.beam_options)
        else:
            place = stack.enter_context(shared_folder(workers))
            tasks = with_reachable_shards(tasks, f"{place}/examples")
            scored = _brought(scored, f"{place}/model")
            rival = rival and _brought(rival, f"{place}/champion")
            pipeline = pipeline_on(workers)
        write = WritePredictions(_predict(examples, model, settings, scored, rival), place)
        with pipeline as graph:
            _ = (
                graph
                | "List tasks" >> beam.Create(tasks)
                | "Spread tasks" >> beam.Reshuffle()
                | "Predict" >> beam.ParDo(write)
            )
        if workers is not None:
            download_all(place, folder)


def _predict(
    examples: Examples,
    model: Model,
    settings: EvaluateSettings,
    scored: ScoredModel,
    rival: ScoredModel | None,
) -> dict[str, Predict]:
    """What gives the predictions of each split; the champion is asked of the test split only."""
    known = examples.feature_types
    features = _features(examples, settings)
    # What follows from other features is text.
    types = {name: known.get(name, "bytes") for name in features}
    several = model.thresholds is not None
    schema = prediction_schema(len(model.labels), types, several, rival is not None)
    return {
        split: Predict(
            scored, schema, features, several, split, examples.counts.get(split, 0), asked
        )
        for split, asked in (("test", rival), ("valid", None))
    }


def _brought(model: ScoredModel, folder: str) -> ScoredModel:
    """The model where remote workers can load it."""
    place = mounted_uri(model.folder)
    if place is None:
        place = folder
        with clear_errors(f"cannot write {folder}", StepError):
            upload_folder(Path(model.folder), folder)
    return model._replace(folder=place)


def _features(examples: Examples, settings: EvaluateSettings) -> list[str]:
    """The features that slices, or the search for weak ones, ask for."""
    looked_at = settings.weak_slices.features
    if looked_at is None:
        looked_at = (LABEL, ORIENTATION, *MEASURE_TYPES, *examples.columns)
    return list(dict.fromkeys((*settings.sliced_columns, *settings.fairness.columns, *looked_at)))
