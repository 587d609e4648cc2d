"""The predict step: a model's answers to many photographs, a row each."""

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.predict.models.model import Model
from components.predict.settings import PredictSettings
from components.predict.work import Shard, Work, begin, claimed
from darkroom.artifacts.batch_predictions import KIND
from darkroom.artifacts.manifest import MANIFEST, read_manifest, write_manifest
from darkroom.artifacts.rejected import REJECTED_FILE, write_rejections
from darkroom.beam.remote import with_staging_location
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.pace import Pace
from darkroom.storage.atomic import atomic_file, move_folder, os_reason, remove_temporary

if TYPE_CHECKING:
    from components.predict.predictions import Outcome

_log = logging.getLogger("darkroom.predict")


def predict(
    settings: PredictSettings,
    model: Path | None = None,
    pushed: Path | None = None,
    *,
    predictions: Path,
) -> dict[str, Any]:
    """Asks a model about photographs, and writes what it says of each.

    Killed at any moment, the same call resumes at the shard it was at.

    Args:
        settings: What is predicted, by which model, and how it is written.
        model: A model, or a folder of versions; `settings.model` takes its place.
        pushed: What push says of that model: its version.
        predictions: Output: `predictions-*` files, `rejected.jsonl` and the manifest.

    Returns:
        Counts of rows by what became of them, and of rejected ones by reason.

    Raises:
        SettingsError: There is no photograph, no model, or no such column.
        StepError: The model does not answer, or a file cannot be written.
    """
    _check_output(predictions, settings.overwrite)
    beam_options = with_staging_location(predictions, settings.beam_options)
    settings = settings.model_copy(update={"beam_options": beam_options})
    asked = _model(settings, model, pushed)
    unfinished = predictions.with_name(f".unfinished-{predictions.name}")
    try:
        with claimed(unfinished):
            content = _predict(settings, asked, predictions, unfinished)
    except OSError as error:
        # What is read has lines of its own.
        raise StepError(f"cannot write {predictions}: {os_reason(error)}") from error
    return {"counts": content["counts"], "rejected": content["rejected"]}


def _predict(
    settings: PredictSettings, asked: Model, predictions: Path, unfinished: Path
) -> dict[str, Any]:
    """Does what is left of the work; gives the manifest's content."""
    work, is_resumed = begin(unfinished, settings, asked.facts)
    done = work.done()
    if is_resumed:
        _log.info("resumed: %d of %d shards are done", len(done), len(work.shards))
        remove_temporary(unfinished)
    _check(asked)
    todo = [shard for shard in work.shards if shard.number not in done]
    if settings.beam_options and todo:
        from components.predict.on_runner import predict_on_runner

        predict_on_runner(todo, work, asked, settings)
    else:
        already = sum(map(_rows_of_mark, done.values()))
        _in_this_process(todo, work, asked, settings, already)
    content = _finish(work, asked, settings)
    if predictions.exists():
        shutil.rmtree(predictions)
    move_folder(Path(work.output), predictions, (MANIFEST,))
    shutil.rmtree(unfinished, ignore_errors=True)
    return content


def predict_here(settings: PredictSettings) -> Iterator["Outcome"]:
    """Asks a model about photographs, and gives what becomes of them in place of writing it.

    Args:
        settings: What is predicted, and by which model.

    Yields:
        What became of the photographs, some thousand at a time, in order.

    Raises:
        SettingsError: There is no photograph, no model, or no such column.
        StepError: The model does not answer.
    """
    from components.predict.predictions import Outcome, predict_shards

    asked = _model(settings)
    with tempfile.TemporaryDirectory() as folder:
        work, _ = begin(Path(folder) / "work", settings, asked.facts)
        _check(asked)
        pace = Pace(_log, "photographs", work.rows)
        if listing := list(work.refused()):
            yield Outcome(None, listing)
        for _, outcome in predict_shards(work.shards, work, asked, settings, pace.add):
            yield outcome


def _check_output(predictions: Path, overwrite: bool) -> None:
    """Checks that nothing is there but an empty folder, or predictions that may be replaced."""
    if not predictions.exists() or (predictions.is_dir() and not any(predictions.iterdir())):
        return
    try:
        read_manifest(predictions, KIND)
    except StepError as error:
        raise SettingsError(f"name another folder: {error}") from None
    if not overwrite:
        raise SettingsError(
            f"{predictions} holds predictions already: name another folder, or say --overwrite"
        )


def _model(
    settings: PredictSettings, model: Path | None = None, pushed: Path | None = None
) -> Model:
    from components.predict.models.local import find_model
    from components.predict.models.served import find_served, is_address

    if settings.model is not None and is_address(settings.model):
        return find_served(settings)
    if settings.model is not None:
        return find_model(settings.model, settings.embedding)
    if model is None:
        raise SettingsError("setting 'predict.model' is missing: name a model")
    found = find_model(str(model), settings.embedding)
    return found if pushed is None else found.with_version(read_manifest(pushed, "pushed"))


def _check(model: Model) -> None:
    """Has the model say what is wrong with it before any photograph is read."""
    from components.predict.models.local import LocalModel, check_signatures

    if isinstance(model, LocalModel):
        check_signatures(model)


def _in_this_process(
    shards: list[Shard], work: Work, model: Model, settings: PredictSettings, done: int
) -> None:
    from components.predict.output import write_shard
    from components.predict.predictions import predict_shards

    pace = Pace(_log, "photographs", work.rows)
    pace.add(done)
    for shard, outcome in predict_shards(shards, work, model, settings, pace.add):
        write_shard(outcome, shard, work, settings)


def _rows_of_mark(mark: dict[str, Any]) -> int:
    return int(mark["predicted"] + sum(mark["reasons"].values()))


def _finish(work: Work, model: Model, settings: PredictSettings) -> dict[str, Any]:
    """Completes the output's folder; every row is accounted for."""
    marks = work.done()
    missing = [shard.number for shard in work.shards if shard.number not in marks]
    if missing:
        raise StepError(f"{len(missing)} shards were not done, the first is {missing[0]}")
    of_files = [marks[shard.number] for shard in work.shards if not shard.records]
    accounted = sum(map(_rows_of_mark, of_files)) + sum(work.reasons.values())
    if accounted != work.rows:
        raise StepError(f"{accounted:,} of {work.rows:,} rows are accounted for; predict again")
    reasons = Counter(work.reasons)
    for mark in marks.values():
        reasons.update(mark["reasons"])
    number = sum(int(mark["predicted"]) for mark in marks.values())
    _log.info("predictions: %s", f"{number:,}")
    listed = ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common())
    _log.info("rejected: %s", listed or "none")
    folder = Path(work.output)
    with atomic_file(folder / REJECTED_FILE) as temporary:
        write_rejections(temporary, work.refused())
    counts = {"predicted": number, "rejected": reasons.total()}
    facts = model.facts
    content = {
        "counts": counts,
        "rejected": dict(reasons),
        "format": settings.format,
        "labels": list(facts.labels),
        "columns": work.columns,
        "model": {"version": facts.version, "digest": facts.digest},
        "settings": settings.model_dump(mode="json"),
    }
    write_manifest(folder, KIND, content)
    return content
