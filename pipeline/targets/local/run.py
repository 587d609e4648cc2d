"""Runs the whole graph on this machine, every step a process, and sends the config's notices."""

import contextlib
import datetime
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.notify.notify import report
from components.notify.outcome import Outcome
from components.notify.settings import NotifySettings, Result
from components.push.settings import PushSettings
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.errors import StepError
from darkroom.runtime.log import configure_logging
from darkroom.runtime.step_record import read_step_records
from darkroom.storage.atomic import write_json
from pipeline.config import Config
from pipeline.preflight import check_inputs
from pipeline.targets.local.kfp_runner import JOURNAL, execute
from pipeline.targets.local.progress import logged_to, shown_progress
from pipeline.targets.local.step_process import InterruptedRunError, interrupted_by_signals

RUN_FILE = "run.json"
REPORT_FILE = "report.html"
CACHE = ".cache"
"""Beside the runs: what is known of their steps."""


def run_pipeline(config: Config, out: Path, reads_cache: bool = True) -> dict[str, Any]:
    """Runs the graph and writes `run.json`.

    Args:
        config: The validated config.
        out: Folder of runs; the run gets a folder of its own in it.
        reads_cache: Whether steps whose inputs, settings and code have not changed since a run in
            `out` are not run again; a run that failed resumes at the failed step.

    Returns:
        The run as `run.json` holds it.

    Raises:
        SettingsError: The data or the weights do not exist; nothing has run.
        StepError: A step failed, or the run was interrupted; `run.json` says so too.
    """
    check_inputs(config)
    out = out.absolute()
    folder = _new_folder(out, config.name)
    log = folder / "run.log"
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
        run = _describe(folder.name, config.steps, read_step_records(folder / JOURNAL), error)
        run |= {"started": started.isoformat(timespec="seconds"), "seconds": round(seconds, 1)}
        write_json(folder / RUN_FILE, run)
        _copy_report(folder, run)
        report_run(config, run | {"folder": str(folder)})
    return run | {"folder": str(folder)}


def _run_steps(config: Config, out: Path, folder: Path, log: Path, reads_cache: bool) -> None:
    arguments = local_arguments(config)
    if config.section(PushSettings).destination is None:
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


def _new_folder(out: Path, name: str) -> Path:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = out / f"{name}-{stamp}{suffix}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise StepError(f"cannot make a new folder for the run in {out}")


def local_arguments(config: Config) -> dict[str, Any]:
    """A config's pipeline arguments, with paths that any process of this machine finds."""
    data = Path(config.data)
    arguments = config.arguments()
    return arguments | {"data": str(data.absolute()) if data.exists() else config.data}


def _describe(
    run_id: str, steps: Sequence[str], journal: list[dict[str, Any]], error: str | None
) -> dict[str, Any]:
    """The content of `run.json`, from what the steps wrote down."""
    entries = {entry["name"]: entry for entry in journal}
    done = {name: e for name, e in entries.items() if e["status"] in ("succeeded", "cached")}
    ingested = done.get("ingest", {}).get("result", {})
    evaluated = done.get("evaluate", {})
    # What to type is what was typed: it resumes at the first step that is not done.
    failure = {"error": error, "next": shlex.join(["darkroom", *sys.argv[1:]])} if error else {}
    return {
        "run_id": run_id,
        "status": "failed" if error else "succeeded",
        **failure,
        "blessed": evaluated.get("result") == "blessed",
        "pushed": done.get("push", {}).get("result"),
        "artifacts": {k: v for entry in done.values() for k, v in entry["artifacts"].items()},
        "metrics": _metrics(evaluated),
        "examples": ingested.get("counts", {}),
        "rejected": ingested.get("rejected", {}),
        "steps": [_step(name, entries.get(name), error is None) for name in steps],
    }


def _metrics(evaluated: dict[str, Any]) -> dict[str, Any]:
    if not evaluated:
        return {}
    from darkroom.artifacts.evaluation import read_evaluation

    return dict(read_evaluation(Path(evaluated["artifacts"]["evaluation"])).metrics)


def _step(name: str, entry: dict[str, Any] | None, run_succeeded: bool) -> dict[str, Any]:
    if entry is None:
        return {"name": name, "seconds": 0.0, "status": "skipped" if run_succeeded else "not run"}
    # A step that was killed could not write down its own end.
    status = "failed" if entry["status"] == "running" else entry["status"]
    step = {"name": name, "seconds": entry.get("seconds", 0.0), "status": status}
    optional = ("startup_seconds", "peak_memory_bytes", "run", "error")
    return step | {key: entry[key] for key in optional if key in entry}


def _copy_report(folder: Path, run: dict[str, Any]) -> None:
    """Copies the report into the run's folder, as `.html` for browsers."""
    report = run["artifacts"].get("report")
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
        result=_result(run),
        error=run.get("error", ""),
        page=run["folder"],
        report=run["artifacts"].get("report", ""),
        metrics=run["metrics"],
        reasons=_reasons(run),
        pushed=run["pushed"] or "",
    )
    report(outcome, settings)


def _result(run: Mapping[str, Any]) -> Result:
    if run["status"] != "succeeded":
        return "failed"
    return "succeeded" if run["blessed"] else "not_blessed"


def _reasons(run: Mapping[str, Any]) -> tuple[str, ...]:
    if run["status"] != "succeeded" or run["blessed"]:
        return ()
    return read_evaluation(Path(run["artifacts"]["evaluation"])).reasons
