"""Starts what the monitor has decided: a retraining's run, here or on a cluster, and one alone."""

import json
import logging
import re
from pathlib import Path
from typing import Any

from components.evaluate.settings import EvaluateSettings
from components.ingest.settings import IngestSettings
from components.monitor.retraining.claims import (
    Retraining,
    last_retraining,
    note_end,
    note_run,
    open_retraining,
)
from components.monitor.retraining.settings import RetrainSettings
from components.monitor.settings import MonitorSettings
from components.monitor.state.folder import changed
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.train.augmentation.settings import AugmentationSettings
from components.train.settings import TrainSettings
from components.transform.settings import TransformSettings
from darkroom.artifacts.examples import MONITORED, SOURCE
from darkroom.errors import DarkroomError, SettingsError
from darkroom.settings import validate_settings
from darkroom.storage.atomic import write_json
from darkroom.storage.locks import locked
from darkroom.storage.paths import mounted_path
from pipeline.config import Config, config_model
from pipeline.target import ClusterClient, Target
from pipeline.targets.local.run import run_pipeline
from pipeline.targets.local.run_folder import read_runs
from pipeline.targets.local.step_process import InterruptedRunError
from pipeline.triggers.start_run import TriggerResult, start_if_due
from pipeline.triggers.store import Store

ATTEMPTS = 20
"""Times a run may be cut off before its retraining counts as failed."""
_FOLDER = ".retrainings"
_OF_PRODUCTION = f"accuracy of {SOURCE}={MONITORED}"
_OF_THE_REST = f"accuracy of {SOURCE}!={MONITORED}"
_log = logging.getLogger("darkroom.monitor")


def start_retraining(
    config: Config, retraining: Retraining, out: Path, reads_cache: bool = True
) -> Retraining:
    """Runs a retraining on this machine, to its end, and writes down how it ended.

    Called again after it was killed at any moment, it continues the same retraining: a run that has
    ended is found by the retraining's key, and one that was cut off resumes at the step that it was
    at. While another process is at it, nothing happens.

    Args:
        config: The config, as it is loaded for a run.
        retraining: As the monitor claimed it; see `claimed_retraining`.
        out: Folder of runs.
        reads_cache: As `run_pipeline` takes it.

    Returns:
        The retraining as the monitor's state has it then.

    Raises:
        SettingsError: The config has no `monitor.retrain`.
        StepError: The run was interrupted, another process is retraining, or the state cannot be
            written.
    """
    retrain_settings(config)
    out = out.absolute()
    state = config.section(MonitorSettings).state
    with locked(out / _FOLDER / "lock", f"another process is retraining in {out}: wait for it"):
        known = claimed_retraining(config)
        if known is None or known.number != retraining.number:
            return known or retraining  # another process has ended it
        ended = _ended(config, retraining, out)
        if ended is None:
            ended = _run(config, retraining, out, reads_cache)
        changed(state, lambda connection: note_end(connection, retraining.number, ended))
        last = changed(state, last_retraining)
    _log.info("retraining %d: %s", retraining.number, ended)
    return last or retraining


def claimed_retraining(config: Config) -> Retraining | None:
    """The retraining that has not ended; None if there is none.

    Raises:
        StepError: The monitor's state cannot be read.
    """
    return changed(config.section(MonitorSettings).state, open_retraining)


def submit_retraining(
    config: Config,
    retraining: Retraining,
    cluster: ClusterClient,
    target: Target,
    store: Store,
) -> TriggerResult:
    """Starts a retraining's run on a cluster, as every trigger starts one.

    Args:
        config: The validated config.
        retraining: The retraining; asked again for the same one, its run is found.
        cluster: Where runs go.
        target: What to compile for.
        store: What all triggers of the pipeline share.

    Returns:
        The run that started, or why none did.

    Raises:
        SettingsError: The config does not do for it.
        StepError: The data cannot be listed, or the cluster refuses; ask again.
    """
    former = None
    destination = config.section(PushSettings).destination
    if fine_tunes(config, retraining) and destination is not None:
        serves = target_for(destination).current()
        if serves is not None and serves.location.startswith(("/", "gs://")):
            former = mounted_path(serves.location)
    prepared = retraining_config(config, retraining, former)
    return start_if_due(prepared, cluster, target, store, retraining.reason, retraining.key)


def retrain_settings(config: Config) -> RetrainSettings:
    """The config's `monitor.retrain`.

    Raises:
        SettingsError: It has none.
    """
    monitor = config.optional_section(MonitorSettings)
    if monitor is None or monitor.retrain is None:
        raise SettingsError(
            "the config has no setting 'monitor.retrain': give it one, such as "
            "monitor: {retrain: {when: accuracy < 0.9, dataset: gs://bucket/production}}"
        )
    return monitor.retrain


def retraining_config(
    config: Config,
    retraining: Retraining,
    former: str | None,
    previous: str | None = None,
) -> Config:
    """The config of a retraining's run.

    The photographs of production are added to the data, and the champion is to be matched on them
    and on all others apart: what the config says of the accuracy itself stays as it is.

    Args:
        config: The config.
        retraining: The retraining.
        former: Folder of the model that serves, to fine-tune; None to train from scratch.
        previous: Examples of an earlier run, whose photographs need not be read again.

    Raises:
        SettingsError: It has no `monitor.retrain`, or does not do for it.
    """
    settings = retrain_settings(config)
    values = config.model_dump(mode="json", exclude_unset=True)
    if retraining.how == "noisy_student":
        _add_data(values, settings.pseudo_labels_of(retraining.key))
        _warn_of_no_noise(config.section(TrainSettings))
    if retraining.labelled or settings.tables in config.section(IngestSettings).further_data:
        _add_data(values, settings.tables)
        _section(values, "evaluate").update(_judged(config.section(EvaluateSettings), settings))
    if previous is not None and config.section(IngestSettings).previous is None:
        _section(values, "ingest")["previous"] = previous
    if former is not None:
        train = config.section(TrainSettings)
        # With no epochs of its own, fine-tuning would train the head alone.
        epochs = train.fine_tune_epochs or train.epochs
        _section(values, "train").update(from_model=former, fine_tune_epochs=epochs)
    return validate_settings(config_model(), values)


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    section: dict[str, Any] = values.setdefault(name, {})
    return section


def _add_data(values: dict[str, Any], place: str) -> None:
    further = _section(values, "ingest").setdefault("further_data", [])
    if place not in further:
        further.append(place)


def _warn_of_no_noise(train: TrainSettings) -> None:
    if not train.dropout and train.augmentation == AugmentationSettings():
        _log.warning(
            "noisy_student without noise: set train.dropout and train.augmentation, as in "
            "docs/training.md; a student without noise learns little that its teacher does not know"
        )


def _judged(evaluate: EvaluateSettings, settings: RetrainSettings) -> dict[str, Any]:
    """How a retrained model is compared with the champion."""
    margins = {
        key: given.model_dump(exclude_none=True) for key, given in evaluate.against_baseline.items()
    }
    if "against_baseline" not in evaluate.model_fields_set:
        margins = {}  # the usual margin of all photographs gives way to those of both shares
    margins.setdefault(_OF_PRODUCTION, {"not_worse_by": 0})
    margins.setdefault(_OF_THE_REST, {"not_worse_by": settings.not_worse_by})
    slices = [each if isinstance(each, str) else list(each) for each in evaluate.slices]
    if SOURCE not in slices:
        slices.append(SOURCE)
    return {"slices": slices, "against_baseline": margins}


def _run(config: Config, retraining: Retraining, out: Path, reads_cache: bool) -> str:
    """Runs a retraining; how it ended."""

    def note(run_id: str) -> None:
        state = config.section(MonitorSettings).state
        changed(state, lambda connection: note_run(connection, retraining.number, run_id))

    note(f"{config.name}-{retraining.key}")
    try:
        begun = _begun(config, retraining, out)
        prepared = retraining_config(config, retraining, begun["former"], begun["previous"])
        run = run_pipeline(prepared, out, reads_cache, retraining.key)
    except InterruptedRunError:
        raise  # the next look resumes it
    except DarkroomError as error:
        _log.warning("retraining %d failed: %s", retraining.number, error)
        return "failed"
    note(run["run_id"])
    return "blessed" if run["blessed"] else "not blessed"


def _begun(config: Config, retraining: Retraining, out: Path) -> dict[str, str | None]:
    """What a retraining began with, which its further attempts begin with too.

    By then its own model may serve, which is not to be fine-tuned again.
    """
    file = out / _FOLDER / f"{config.name}-{retraining.key}.json"
    if file.exists():
        found: dict[str, str | None] = json.loads(file.read_text(encoding="utf-8"))
        return found
    former = None
    if fine_tunes(config, retraining):
        former = _serving(config, out, file.with_suffix(""))
    begun = {"former": former, "previous": _latest_examples(config, out)}
    write_json(file, begun)
    return begun


def fine_tunes(config: Config, retraining: Retraining) -> bool:
    """Whether a retraining starts from the model that serves; a head on embeddings cannot."""
    if retraining.how != "fine_tune":
        return False
    if config.section(TransformSettings).embeddings is not None:
        _log.info("transform.embeddings: the head is trained from scratch")
        return False
    return True


def _serving(config: Config, out: Path, copy: Path) -> str | None:
    """The folder of the model that serves, or of a copy of it; None if none does."""
    destination = config.section(PushSettings).destination or str(out / "served" / config.name)
    target = target_for(destination)
    serves = target.current()
    if serves is None:
        _log.info("no model serves at %s: trained from scratch", destination)
        return None
    if Path(serves.location).is_dir():
        return str(Path(serves.location).absolute())
    target.fetch(serves, copy)
    return str(copy.absolute())


def _latest_examples(config: Config, out: Path) -> str | None:
    """The examples of the last run of the config that has some."""
    for run in read_runs(out):
        examples = run.get("artifacts", {}).get("examples")
        is_ours = run["run_id"].startswith(f"{config.name}-") and run["status"] == "succeeded"
        if is_ours and examples and Path(examples).is_dir():
            return str(examples)
    return None


def _ended(config: Config, retraining: Retraining, out: Path) -> str | None:
    """How a retraining's run ended; None if there is none, or it was cut off."""
    name = re.compile(re.escape(f"{config.name}-{retraining.key}") + r"(-\d+)?")
    runs = [run for run in read_runs(out) if name.fullmatch(run["run_id"])]
    for run in runs:
        # A run that was killed after its push has done what it was for.
        if run["status"] == "succeeded" or run.get("pushed"):
            return "blessed" if run["blessed"] else "not blessed"
    if len(runs) >= ATTEMPTS:
        _log.warning("retraining %d was cut off %d times", retraining.number, len(runs))
        return "failed"
    return None
