"""The shards done by the workers of a Beam runner, through RunInference.

A worker process holds one model. Photographs never pass between workers: an element is a shard,
whose photographs are read, and gathered into batches, where the model is.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from components.predict.models.local import LocalModel
from components.predict.models.model import Model
from components.predict.output import write_shard
from components.predict.predictions import Outcome, predict_shards
from components.predict.settings import PredictSettings
from components.predict.work import Shard, Work
from darkroom.artifacts.code_digest import code_digest
from darkroom.beam.remote import (
    check_reachable,
    download_all,
    pipeline_here,
    pipeline_on,
    remote_workers,
    shared_folder,
    with_reachable_shards,
)
from darkroom.beam.same_code import check_same_code
from darkroom.errors import StepError
from darkroom.storage.files import clear_errors
from darkroom.storage.folders import upload_folder
from darkroom.storage.paths import mounted_uri


class ShardHandler(ModelHandler[Shard, Outcome, Model]):  # type: ignore[misc]
    """Asks a model about the photographs of shards.

    Args:
        model: The model, which is loaded by the first shard of a worker process.
        work: The work that the shards are of.
        settings: The predict step's settings.
    """

    def __init__(self, model: Model, work: Work, settings: PredictSettings) -> None:
        super().__init__()
        self._model, self._work, self._settings = model, work, settings
        self._code = code_digest(__name__)

    def should_skip_batching(self) -> bool:
        """True: a shard has batches of its own, which are bounded by bytes too."""
        return True

    def load_model(self) -> Model:
        """The model. It is not loaded yet: at an error here Beam's local processes would hang."""
        return self._model

    def run_inference(
        self,
        batch: Sequence[Shard],
        model: Model,
        inference_args: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> Iterator[PredictionResult]:
        """Gives the outcome of each shard."""
        check_same_code(__name__, self._code)
        for shard, outcome in predict_shards(batch, self._work, model, self._settings):
            yield PredictionResult(shard, outcome)

    def get_num_bytes(self, batch: Sequence[Shard]) -> int:
        """Bytes of the shards themselves, of which RunInference keeps a count."""
        return sum(len(shard.records) for shard in batch)

    def get_metrics_namespace(self) -> str:
        """Where RunInference's counts stand among a job's metrics."""
        return "darkroom_predict"


class _WriteShard(beam.DoFn):  # type: ignore[misc]
    def __init__(self, work: Work, settings: PredictSettings) -> None:
        self._work, self._settings = work, settings

    def process(self, result: PredictionResult) -> None:
        write_shard(result.inference, result.example, self._work, self._settings)


def predict_on_runner(
    shards: Iterable[Shard], work: Work, model: Model, settings: PredictSettings
) -> None:
    """Does shards by the workers of a runner.

    Args:
        shards: The shards.
        work: The work that they are of, in folders of this machine.
        model: The model.
        settings: The predict step's settings; `beam_options` name the runner.

    Raises:
        SettingsError: Workers would not reach the photographs, or the runner does not take the
            options.
        StepError: The job fails.
    """
    workers = remote_workers(settings.beam_options)
    todo = list(shards)
    with ExitStack() as stack:
        if workers is None:
            there, pipeline = work, pipeline_here(settings.beam_options)
        else:
            for shard in todo:
                rows = () if shard.records else work.rows_of(shard)
                check_reachable([row.location for row in rows], workers)
            place = mounted_uri(Path(work.folder).parent)
            shared = place or stack.enter_context(shared_folder(workers))
            there = dataclasses.replace(work, folder=f"{shared}/plan", output=f"{shared}/output")
            if place is None:
                _upload(work.folder, there.folder)
            todo = _reachable(todo, f"{shared}/examples")
            model = _brought(model, f"{shared}/model")
            pipeline = pipeline_on(workers)
        with pipeline as graph:
            _ = (
                graph
                | "List shards" >> beam.Create([[shard] for shard in todo])
                | "Spread shards" >> beam.Reshuffle()
                | "Predict" >> RunInference(ShardHandler(model, there, settings))
                | "Write" >> beam.ParDo(_WriteShard(there, settings))
            )
        if workers is not None and there.output != mounted_uri(work.output):
            download_all(there.output, Path(work.output))
            download_all(there.folder, Path(work.folder))


def _upload(source: str, target: str) -> None:
    with clear_errors(f"cannot write {target}", StepError):
        upload_folder(Path(source), target)


def _brought(model: Model, folder: str) -> Model:
    """The model where remote workers can load it."""
    if not isinstance(model, LocalModel):
        return model
    place = mounted_uri(model.folder)
    if place is None and "://" not in model.folder:
        place = folder
        _upload(model.folder, folder)
    return dataclasses.replace(model, folder=place or model.folder)


def _reachable(shards: Sequence[Shard], folder: str) -> list[Shard]:
    """The shards, with records that remote workers can open."""
    tasks = [_Records(shard, (shard.records,) if shard.records else ()) for shard in shards]
    return [
        dataclasses.replace(task.shard, records="".join(task.shards))
        for task in with_reachable_shards(tasks, folder)
    ]


@dataclasses.dataclass(frozen=True)
class _Records:
    shard: Shard
    shards: tuple[str, ...]
