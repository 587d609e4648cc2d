"""The folders of runs: `run.json`, the map of what a run made, and which runs there are."""

import contextlib
import datetime
import json
import os
import shlex
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import StepError
from darkroom.runtime.step_record import read_step_records
from darkroom.storage.atomic import os_reason, write_json

RUN_FILE = "run.json"
REPORT_FILE = "report.html"
JOURNAL = "journal"
RUNNING = "running"
_KILLED = "the run was killed, and could not say why"


def new_folder(out: Path, name: str, key: str = "") -> Path:
    """Makes the folder of a new run.

    Args:
        out: The folder of runs.
        name: The config's name.
        key: What the run is called after; "": the time.

    Raises:
        StepError: It cannot be made.
    """
    key = key or datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = out / f"{name}-{key}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise StepError(f"cannot write {out}: {os_reason(error)}") from None
        return folder
    raise StepError(f"cannot make a new folder for the run in {out}")


def write_started(folder: Path, steps: Sequence[str]) -> None:
    """Writes a run's first `run.json`: what is left of it, should the run be killed."""
    document = {
        "run_id": folder.name,
        "status": RUNNING,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "process": {"host": socket.gethostname(), "pid": os.getpid()},
        "command": command(),
        "blessed": False,
        "pushed": None,
        "artifacts": {},
        "metrics": {},
        "steps": [{"name": name, "seconds": 0.0, "status": "not run"} for name in steps],
    }
    write_json(folder / RUN_FILE, document)


def describe(
    run_id: str, steps: Sequence[str], journal: list[dict[str, Any]], error: str | None, typed: str
) -> dict[str, Any]:
    """The content of `run.json`, from what the steps wrote down.

    Args:
        run_id: The run's id.
        steps: Its steps, in order.
        journal: The steps' records.
        error: Why it failed; None if it did not.
        typed: The command, which resumes at the first step that is not done.
    """
    entries = {entry["name"]: entry for entry in journal}
    done = {name: e for name, e in entries.items() if e["status"] in ("succeeded", "cached")}
    ingested = done.get("ingest", {}).get("result", {})
    evaluated = done.get("evaluate", {})
    failure = {"error": error, "next": typed} if error else {}
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


def command() -> str:
    """The command that was typed, as a shell takes it."""
    return shlex.join(["darkroom", *sys.argv[1:]])


def read_runs(out: Path) -> list[dict[str, Any]]:
    """The runs of a folder as their `run.json` hold them, with their `folder`, the newest first.

    A run that was killed is written down as failed first.
    """
    runs = []
    for path in out.glob(f"*/{RUN_FILE}"):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            if run.get("status") == RUNNING and _is_gone(run):
                run = _written_as_killed(path, run)
        except (OSError, ValueError, KeyError, AttributeError):
            continue  # not of ours, or half written on a full disk
        runs.append(run | {"folder": str(path.parent)})
    return sorted(runs, key=lambda run: (run.get("started", ""), run["run_id"]), reverse=True)


def _written_as_killed(path: Path, run: dict[str, Any]) -> dict[str, Any]:
    steps = [step["name"] for step in run["steps"]]
    journal = read_step_records(path.parent / JOURNAL)
    known = describe(run["run_id"], steps, journal, _KILLED, run["command"])
    known |= {"started": run["started"]}
    with contextlib.suppress(OSError):
        write_json(path, known)
    return known


def _is_gone(run: dict[str, Any]) -> bool:
    process = run["process"]
    if process["host"] != socket.gethostname():
        return False
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _metrics(evaluated: dict[str, Any]) -> dict[str, Any]:
    if not evaluated:
        return {}
    from darkroom.artifacts.evaluation import read_evaluation

    try:
        return dict(read_evaluation(Path(evaluated["artifacts"]["evaluation"])).metrics)
    except StepError:  # it has been removed since
        return {}


def _step(name: str, entry: dict[str, Any] | None, run_succeeded: bool) -> dict[str, Any]:
    if entry is None:
        return {"name": name, "seconds": 0.0, "status": "skipped" if run_succeeded else "not run"}
    # A step that was killed could not write down its own end.
    status = "failed" if entry["status"] == "running" else entry["status"]
    step = {"name": name, "seconds": entry.get("seconds", 0.0), "status": status}
    optional = ("startup_seconds", "peak_memory_bytes", "run", "error")
    return step | {key: entry[key] for key in optional if key in entry}
