"""The whole graph, here: every step a process of this environment, through kfp's local runner."""

import contextlib
import datetime
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.artifacts.errors import StepError
from components.artifacts.journal import JOURNAL_VARIABLE, read_journal
from components.artifacts.manifest import write_json
from pipeline.config import Config, check_inputs
from pipeline.run_log import logged_to

RUN_FILE = "run.json"
REPORT_FILE = "report.html"


def run_pipeline(config: Config, out: Path) -> dict[str, Any]:
    """Runs the graph and writes `run.json`.

    Args:
        config: The validated config.
        out: Folder of runs; the run gets a folder of its own in it.

    Returns:
        The run as `run.json` holds it.

    Raises:
        SettingsError: The data or the weights do not exist; nothing has run.
        StepError: A step failed; `run.json` says which, and the message where the log is.
    """
    check_inputs(config)
    folder = _new_folder(out.absolute(), config.name)
    journal = folder / "journal"
    log = folder / "run.log"
    print(f"run {folder.name}; everything it prints is in {log}", flush=True)
    started = datetime.datetime.now(datetime.UTC)
    succeeded = False
    try:
        arguments = local_arguments(config)
        if config.push.destination is None:
            arguments["push"]["destination"] = str(out.absolute() / "served" / config.name)
        with logged_to(log, sys.stdout):
            from pipeline.graph import build_pipeline

            execute(build_pipeline(config), arguments, folder, log)
        succeeded = True
    finally:
        seconds = (datetime.datetime.now(datetime.UTC) - started).total_seconds()
        run = _describe(folder.name, config.steps, read_journal(journal), succeeded)
        run |= {"started": started.isoformat(timespec="seconds"), "seconds": round(seconds, 1)}
        write_json(folder / RUN_FILE, run)
        _copy_report(folder, run)
    return run | {"folder": str(folder)}


def _new_folder(out: Path, name: str) -> Path:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = out / f"{name}-{stamp}{suffix}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise StepError(f"cannot make a new folder for the run in {out}")


@contextlib.contextmanager
def _environment(journal: Path) -> Iterator[None]:
    """What the steps' processes inherit."""
    root = str(Path(__file__).resolve().parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    changes = {
        JOURNAL_VARIABLE: str(journal),
        "PYTHONPATH": f"{root}{os.pathsep}{inherited}" if inherited else root,
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def local_arguments(config: Config) -> dict[str, Any]:
    """A config's pipeline arguments, with paths that any process of this machine finds."""
    data = Path(config.data)
    arguments = config.arguments()
    return arguments | {"data": str(data.absolute()) if data.exists() else config.data}


def execute(pipeline: Any, arguments: Mapping[str, Any], folder: Path, log: Path) -> None:
    """Runs a pipeline here, each step in a process of its own.

    Args:
        pipeline: The pipeline (kfp GraphComponent).
        arguments: Its parameters' values.
        folder: Where its steps write, with a folder `journal` in it for their entries.
        log: Where what is printed goes, for messages.

    Raises:
        StepError: A step failed.
    """
    from kfp import local

    journal = folder / "journal"
    journal.mkdir(exist_ok=True)
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=str(folder), raise_on_error=True
    )
    with _environment(journal), warnings.catch_warnings():
        # Our images are Python images, though their names do not say so; resources are a
        # cluster's matter.
        warnings.filterwarnings("ignore", message="You may be attemping to run a task")
        warnings.filterwarnings("ignore", message="Task .* settings .* have no effect")
        try:
            pipeline(**arguments)
        except RuntimeError as error:
            raise StepError(_failure(journal, log) or str(error)) from None


def _failure(journal: Path, log: Path) -> str | None:
    """One line about the step that failed, from its journal entry."""
    for entry in read_journal(journal):
        if entry["status"] == "failed":
            return f"step {entry['name']} failed: {entry['error']} (log: {log})"
        if entry["status"] == "running":
            return f"step {entry['name']} was killed, perhaps for want of memory (log: {log})"
    return None


def _describe(
    run_id: str, steps: Sequence[str], journal: list[dict[str, Any]], succeeded: bool
) -> dict[str, Any]:
    """The content of `run.json`, from what the steps wrote down."""
    entries = {entry["name"]: entry for entry in journal}
    done = {name: e for name, e in entries.items() if e["status"] == "succeeded"}
    ingested = done.get("ingest", {}).get("result", {})
    evaluated = done.get("evaluate", {})
    return {
        "run_id": run_id,
        "status": "succeeded" if succeeded else "failed",
        "blessed": evaluated.get("result") == "blessed",
        "pushed": done.get("push", {}).get("result"),
        "artifacts": {k: v for entry in done.values() for k, v in entry["artifacts"].items()},
        "metrics": _metrics(evaluated),
        "examples": ingested.get("counts", {}),
        "rejected": ingested.get("rejected", {}),
        "steps": [_step(name, entries.get(name), succeeded) for name in steps],
    }


def _metrics(evaluated: dict[str, Any]) -> dict[str, Any]:
    if not evaluated:
        return {}
    from components.artifacts.evaluation import read_evaluation

    return dict(read_evaluation(Path(evaluated["artifacts"]["evaluation"])).metrics)


def _step(name: str, entry: dict[str, Any] | None, run_succeeded: bool) -> dict[str, Any]:
    if entry is None:
        return {"name": name, "seconds": 0.0, "status": "skipped" if run_succeeded else "not run"}
    # A step that was killed could not write down its own end.
    status = "failed" if entry["status"] == "running" else entry["status"]
    step = {"name": name, "seconds": entry.get("seconds", 0.0), "status": status}
    optional = ("peak_memory_bytes", "error")
    return step | {key: entry[key] for key in optional if key in entry}


def _copy_report(folder: Path, run: dict[str, Any]) -> None:
    """Puts the report where people look, with the ending that browsers go by."""
    report = run["artifacts"].get("report")
    if report is not None:
        shutil.copyfile(report, folder / REPORT_FILE)
