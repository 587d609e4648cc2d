"""What a step writes down of itself, for `darkroom run` to build `run.json` from."""

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from components.artifacts.manifest import write_json

JOURNAL_VARIABLE = "DARKROOM_JOURNAL"
"""Environment variable naming the folder that steps write their entries to; unset on a cluster."""


class JournalEntry:
    """One step's entry: `running` from its start, so that a killed step is told from an unrun one.

    Args:
        step: The step's name.
        artifacts: The step's output artifacts, by name.
    """

    def __init__(self, step: str, artifacts: dict[str, str]) -> None:
        folder = os.environ.get(JOURNAL_VARIABLE)
        self._path = Path(folder) / f"{step}.json" if folder else None
        self._entry: dict[str, Any] = {"name": step, "artifacts": artifacts}
        self._started = time.time()
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
        seconds = round(time.time() - self._started, 3)
        return {"seconds": seconds, "peak_memory_bytes": peak_kib * 1024}

    def _write(self, **fields: Any) -> None:
        self._entry.update(fields)
        if self._path is not None:
            write_json(self._path, self._entry)


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The entries of a run's steps, in the order they started."""
    entries = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return sorted(entries, key=lambda entry: float(entry["started"]))
