"""The worker group as `TF_CONFIG` describes it, the way Vertex and Kubeflow set it."""

import dataclasses
import json
import os
from typing import Any

from darkroom.errors import SettingsError

VARIABLE = "TF_CONFIG"
_TASKS_THAT_TRAIN = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class WorkerGroup:
    """The workers of a training, and which of them this process is.

    Attributes:
        size: Number of workers that train, including the chief.
        rank: Number of this worker, from 0. Worker 0 is the chief; only the chief writes.
    """

    size: int = 1
    rank: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes checkpoints and the model."""
        return self.rank == 0


def read_worker_group() -> WorkerGroup:
    """Reads `TF_CONFIG`; unset, there is one worker.

    Raises:
        SettingsError: It is not JSON, or does not name this process's task.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return WorkerGroup()
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{VARIABLE} is not JSON: {error}") from None
    members = _members(document)
    if not members:
        return WorkerGroup()
    task = document.get("task")
    here = (task.get("type"), _index(task)) if isinstance(task, dict) else None
    if here not in members:
        named = f"{here[0]} {here[1]}" if here else "no task"
        names = ", ".join(f"{kind} {index}" for kind, index in members)
        raise SettingsError(
            f"{VARIABLE}: this process is {named}, which is not in its cluster ({names}): "
            f'set "task": {{"type": "worker", "index": 0}} or another of them'
        )
    return WorkerGroup(len(members), members.index(here))


def _members(document: Any) -> list[tuple[str, int]]:
    """The tasks that train, as (type, index), the chief first; empty without a cluster."""
    workers = document.get("cluster", {}) if isinstance(document, dict) else None
    if not isinstance(workers, dict) or not all(isinstance(a, list) for a in workers.values()):
        raise SettingsError(
            f'{VARIABLE}: "cluster" must map "chief" and "worker" to lists of addresses'
        )
    return [
        (kind, index) for kind in _TASKS_THAT_TRAIN for index in range(len(workers.get(kind, ())))
    ]


def _index(task: dict[str, Any]) -> int:
    try:
        return int(task.get("index", 0))  # some tools write it as text
    except (TypeError, ValueError):
        raise SettingsError(f'{VARIABLE}: the task\'s "index" is not a number') from None
