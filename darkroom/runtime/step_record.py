"""What a step records of itself for `run.json`: its metrics, and how long its imports took."""

import builtins
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import Any

from darkroom.storage.atomic import write_json

STEP_RECORDS_VARIABLE = "DARKROOM_STEP_RECORDS"
"""Environment variable naming the folder that steps write their entries to; unset on a cluster."""
STARTED_VARIABLE = "DARKROOM_STEP_STARTED"
"""Environment variable with the time, in seconds, at which the step was given its work."""


class StepRecord:
    """One step's entry: `running` from its start, so that a killed step is told from an unrun one.

    Args:
        step: The step's name.
        artifacts: The step's output artifacts, by name.
    """

    def __init__(self, step: str, artifacts: dict[str, str]) -> None:
        folder = os.environ.get(STEP_RECORDS_VARIABLE)
        self._path = Path(folder) / f"{step}.json" if folder else None
        self._entry: dict[str, Any] = {"name": step, "artifacts": artifacts}
        self._started = time.time()
        given = float(os.environ.get(STARTED_VARIABLE, self._started))
        self._before = max(0.0, self._started - given)
        self._imports = ImportTimer()
        if self._path is not None:
            self._imports.start()
        self._write(status="running", started=self._started)

    def succeeded(self, result: Any) -> None:
        """Records the end of the step's work, with what its function returned (a JSON value)."""
        self._write(status="succeeded", result=result, **self._costs())

    def failed(self, error: str) -> None:
        """Records the failure in one line."""
        self._write(status="failed", error=error, **self._costs())

    def _costs(self) -> dict[str, Any]:
        usage = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        peak_kib = max(resource.getrusage(who).ru_maxrss for who in usage)
        return {
            "seconds": round(time.time() - self._started, 3),
            # Until the step's function was called, and the imports that it makes itself.
            "startup_seconds": round(self._before + self._imports.stop(), 3),
            "peak_memory_bytes": peak_kib * 1024,
        }

    def _write(self, **fields: Any) -> None:
        self._entry.update(fields)
        if self._path is not None:
            write_json(self._path, self._entry)


def write_cached_record(folder: Path, entry: dict[str, Any], seconds: float) -> None:
    """Writes the entry of a step that was not run, since its outcome was known.

    Args:
        folder: The run's journal.
        entry: The entry of the step when it ran, with the artifacts where they stand now.
        seconds: What it took to take them over.
    """
    started = time.time() - seconds
    known = {key: entry[key] for key in ("name", "artifacts", "result", "run") if key in entry}
    cached = {"started": started, "status": "cached", "seconds": round(seconds, 3)}
    write_json(folder / f"{entry['name']}.json", known | cached)


def read_step_records(folder: Path) -> list[dict[str, Any]]:
    """The entries of a run's steps, in the order they started."""
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return sorted(entries, key=lambda entry: float(entry["started"]))


class ImportTimer:
    """Adds up the seconds in which some import is under way, in whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._import = builtins.__import__
        self._under_way = 0
        self._since = 0.0
        self._seconds = 0.0

    def start(self) -> None:
        """Measures from now on."""
        builtins.__import__ = self._timed_import

    def stop(self) -> float:
        """Ends the measurement; gives the seconds."""
        if builtins.__import__ == self._timed_import:
            builtins.__import__ = self._import
        return self._seconds

    def _timed_import(self, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            if not self._under_way:
                self._since = time.perf_counter()
            self._under_way += 1
        try:
            return self._import(*arguments, **named)
        finally:
            with self._lock:
                self._under_way -= 1
                if not self._under_way:
                    self._seconds += time.perf_counter() - self._since
