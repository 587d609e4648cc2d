"""Runs the whole graph on this machine, every step a process, and sends the config's notices."""

import contextlib
import datetime
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.ingest.settings import IngestSettings
from components.notify.notify import report
from components.notify.outcome import Outcome
from components.notify.settings import NotifySettings, Result
from components.push.settings import PushSettings
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.runtime.log import QUIET_VARIABLE, configure_logging
from darkroom.runtime.step_record import read_step_records
from darkroom.storage.atomic import write_json
from darkroom.storage.paths import is_uri
from pipeline.config import Config
from pipeline.preflight import check_inputs
from pipeline.targets.local.kfp_runner import execute
from pipeline.targets.local.progress import logged_to, shown_progress
from pipeline.targets.local.run_folder import (
    JOURNAL,
    REPORT_FILE,
    RUN_FILE,
    command,
    describe,
    new_folder,
    read_runs,
    write_started,
)
from pipeline.targets.local.step_process import InterruptedRunError, interrupted_by_signals

CACHE = ".cache"
"""Beside the runs: what is known of their steps."""


def run_pipeline(
    config: Config, out: Path, reads_cache: bool = True, key: str = ""
) -> dict[str, Any]:
    """Runs the graph and writes `run.json`.

    Args:
        config: The validated config.
        out: Folder of runs; the run gets a folder of its own in it.
        reads_cache: Whether steps whose inputs, settings and code have not changed since a run in
            `out` are not run again; a run that failed resumes at the failed step.
        key: What the run is called after, where somebody will look for it; "": the time.

    Returns:
        The run as `run.json` holds it.

    Raises:
        SettingsError: The data or the weights do not exist; nothing has run.
        StepError: A step failed, or the run was interrupted; `run.json` says so too.
    """
    check_inputs(config)
    out = out.absolute()
    read_runs(out)  # notes those that were killed
    folder = new_folder(out, config.name, key)
    write_started(folder, config.steps)
    log = folder / "run.log"
    if not os.environ.get(QUIET_VARIABLE):
        print(f"run {folder.name}; everything it prints is in {log}", flush=True)
    started = datetime.datetime.now(datetime.UTC)
    error: str | None = None
    try:
        _run_steps(config, out, folder, log, reads_cache)
    except BaseException as failure:
        error = str(failure) or type(failure).__name__
        raise
    finally:
        seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
        journal = read_step_records(folder / JOURNAL)
        run = describe(folder.name, config.steps, journal, error, command())
        run |= {"started": started.isoformat(timespec="seconds"), "seconds": round(seconds, 1)}
        # A full disk is what the step has said already.
        with contextlib.suppress(OSError):
            write_json(folder / RUN_FILE, run)
            _copy_report(folder, run)
        report_run(config, run | {"folder": str(folder)})
    return run | {"folder": str(folder)}


def _run_steps(config: Config, out: Path, folder: Path, log: Path, reads_cache: bool) -> None:
    arguments = local_arguments(config)
    if "push" in arguments and config.section(PushSettings).destination is None:
        arguments["push"]["destination"] = str(out / "served" / config.name)
    with (
        shown_progress(config.steps, folder.name, sys.stdout) as progress,
        logged_to(log, sys.stdout),
    ):
        try:
            with interrupted_by_signals():
                from pipeline.graph import build_pipeline
                from pipeline.targets.local.cache import ContentCache
                from pipeline.targets.local.target import TARGET

                cache = ContentCache(out / CACHE, folder, reads_cache, progress.cached)
                execute(
                    build_pipeline(config, TARGET), arguments, folder, config.steps, progress, cache
                )
        except InterruptedRunError as interrupted:
            at = f" at step {progress.at_work}" if progress.at_work else ""
            raise InterruptedRunError(f"{interrupted}{at}", interrupted.exit_code) from None


def local_arguments(config: Config) -> dict[str, Any]:
    """A config's pipeline arguments, with paths that any process of this machine finds."""
    arguments = config.arguments()
    if "ingest" in arguments:
        further = config.section(IngestSettings).further_data
        arguments["ingest"]["further_data"] = [
            place if is_uri(place) else str(Path(place).absolute()) for place in further
        ]
    data = Path(config.data)
    return arguments | {"data": str(data.absolute()) if data.exists() else config.data}


def _copy_report(folder: Path, run: dict[str, Any]) -> None:
    """Copies the report into the run's folder, as `.html` for browsers."""
    artifacts = run["artifacts"]
    report = artifacts.get("explained_report") or artifacts.get("report")
    if report is not None:
        shutil.copyfile(report, folder / REPORT_FILE)


def report_run(config: Config, run: Mapping[str, Any]) -> None:
    """Tells of a run as the notify step does on a cluster; it fails no run.

    Args:
        config: The run's config.
        run: The run as `run.json` holds it, with the `folder` it is in.
    """
    settings = config.optional_section(NotifySettings)
    if settings is None:
        return
    configure_logging()
    outcome = Outcome(
        pipeline=config.name,
        result=_result(run, config.job),
        error=run.get("error", ""),
        page=run["folder"],
        report=run["artifacts"].get("report", ""),
        metrics=run["metrics"],
        reasons=_reasons(run) if config.job == "run" else (),
        pushed=run["pushed"] or "",
    )
    report(outcome, settings)


def _result(run: Mapping[str, Any], job: str) -> Result:
    if run["status"] != "succeeded":
        return "failed"
    return "succeeded" if run["blessed"] or job == "predict" else "not_blessed"


def _reasons(run: Mapping[str, Any]) -> tuple[str, ...]:
    if run["status"] != "succeeded" or run["blessed"]:
        return ()
    return read_evaluation(Path(run["artifacts"]["evaluation"])).reasons
