"""A search for the best settings, here: photographs made ready once, many trainings on them."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from components.train.settings import TrainSettings
from components.train.tuning.settings import TuneSettings
from darkroom.errors import SettingsError
from darkroom.runtime.log import configure_logging
from darkroom.runtime.step_record import read_step_records
from darkroom.settings import set_value
from darkroom.storage.atomic import write_json, write_text
from pipeline.config import Config
from pipeline.preflight import check_inputs
from pipeline.targets.local.kfp_runner import execute
from pipeline.targets.local.progress import logged_to
from pipeline.targets.local.run import local_arguments

BEST_FILE = "best.yaml"
LOG_FILE = "tune.log"

_PREPARED_FILE = "prepared.json"
_PREPARED = "prepared"


def run_tuning(config: Config, out: Path) -> Path:
    """Runs a config's trials, or resumes with those in its folder.

    Args:
        config: The validated config.
        out: Folder of runs; the study gets the folder `<name>-tuned` in it.

    Returns:
        `best.yaml` in the study's folder: the config with the best settings in it.

    Raises:
        SettingsError: There is no space to search, the data does not exist, or the study in the
            folder is another one.
        StepError: A step failed, or no trial has finished.
    """
    settings = tune_settings(config)
    check_inputs(config)
    folder = out.absolute() / f"{config.name}-tuned"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG_FILE
    print(f"study {folder.name}; everything it prints is in {log}", flush=True)
    with logged_to(log, sys.stdout), _stderr_to(log):
        configure_logging()
        artifacts = _prepared(config, folder)
        _run_trials(config, settings, artifacts, folder)
    return folder / BEST_FILE


def tune_settings(config: Config) -> TuneSettings:
    """The config's section `tune`.

    Raises:
        SettingsError: It has none.
    """
    settings = config.optional_section(TuneSettings)
    if settings is None:
        raise SettingsError(
            "the config has no section 'tune': give it one with the space to search, such as "
            "tune: {space: {learning_rate: {low: 0.0001, high: 0.01, log: true}}}"
        )
    return settings


def best_config(config: Config, best: TrainSettings) -> str:
    """The config as YAML that `darkroom run` takes, with the best settings in it."""
    values = config.model_dump(mode="json", exclude_unset=True, exclude={"tune"})
    found = best.model_dump(mode="json")
    for name in tune_settings(config).space:
        value: Any = found
        for part in name.split("."):
            value = value[part]
        set_value(values, f"train.{name}", value)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _run_trials(
    config: Config, settings: TuneSettings, artifacts: dict[str, str], folder: Path
) -> None:
    from components.train.tuning.tune import run_study

    def on_better(best: TrainSettings) -> None:
        write_text(folder / BEST_FILE, best_config(config, best))

    run_study(
        Path(artifacts["transformed_examples"]),
        Path(artifacts["transform_graph"]),
        settings,
        config.section(TrainSettings),
        folder,
        on_better,
    )


def _prepared(config: Config, folder: Path) -> dict[str, str]:
    """The artifacts of ingest and transform, which are made once for all of a study's trials."""
    arguments = local_arguments(config)
    made_of = {name: arguments[name] for name in ("data", "ingest", "transform")}
    file = folder / _PREPARED_FILE
    if file.exists():
        prepared = json.loads(file.read_text(encoding="utf-8"))
        if others := [name for name in made_of if prepared["made_of"][name] != made_of[name]]:
            raise SettingsError(
                f"the study in {folder} is of other photographs ({', '.join(others)} differs): "
                "give another --out, or delete it"
            )
    else:
        from pipeline.graph import build_preparation
        from pipeline.targets.local.target import TARGET

        shutil.rmtree(folder / _PREPARED, ignore_errors=True)
        (folder / _PREPARED).mkdir()
        preparation = build_preparation(config, TARGET)
        execute(preparation, made_of, folder / _PREPARED, steps=("ingest", "transform"))
        entries = read_step_records(folder / _PREPARED / "journal")
        artifacts = {name: path for entry in entries for name, path in entry["artifacts"].items()}
        prepared = {"made_of": made_of, "artifacts": artifacts}
        write_json(file, prepared)
    found: dict[str, str] = prepared["artifacts"]
    return found


@contextlib.contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Sends what native libraries print to the log too; they know no sys.stderr."""
    kept = os.dup(2)
    try:
        with log.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
