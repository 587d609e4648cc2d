"""Reports of a trial to Vertex, which reads them from a file that it names in the environment.

The file is what cloudml-hypertune, Google's own reporter, wrote before it was left alone: one JSON
object a line.
"""

import json
import os
import time
from pathlib import Path

from darkroom.storage.atomic import write_text

FILE_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"
TRIAL_VARIABLE = "CLOUD_ML_TRIAL_ID"
DEFAULT_FILE = "/tmp/hypertune/output.metrics"
MOST_LINES = 100
"""The service looks at the last reports only, and reads the whole file each time."""


class Reports:
    """The reports of this process's trial.

    Args:
        metric: The metric's id in the job's study.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._path = Path(os.environ.get(FILE_VARIABLE, DEFAULT_FILE))
        self._trial = os.environ.get(TRIAL_VARIABLE, "0")
        self._lines: list[str] = []

    def add(self, step: int, value: float) -> None:
        """Reports the metric's value after a step, such as an epoch."""
        # Numbers are text, as the service expects them.
        report = {
            "timestamp": time.time(),
            "trial": self._trial,
            self._metric: str(value),
            "global_step": str(step),
        }
        self._lines = [*self._lines, json.dumps(report, sort_keys=True)][-MOST_LINES:]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, "".join(f"{line}\n" for line in self._lines))
