"""A TFJob followed to its end."""

import logging
import time
from typing import Any

from components.train.tfjob.api import TFJobClient, UnavailableError
from darkroom.errors import StepError

_log = logging.getLogger("darkroom.train")
_UNANSWERED = 30
"""Looks in a row without an answer, after which the job is given up."""
_LINES = 20
"""Of a failed worker's log."""
_STARTING = ("ContainerCreating", "PodInitializing")


def wait_for_job(client: TFJobClient, name: str, interval: float) -> None:
    """Waits until a TFJob has succeeded, and logs how its workers are.

    Args:
        client: Where it runs.
        name: The job's name.
        interval: Seconds between looks.

    Raises:
        StepError: The job failed or was removed, or the API does not answer any more.
    """
    said, unanswered = "", 0
    while unanswered < _UNANSWERED:
        try:
            status = client.job(name).get("status") or {}
        except UnavailableError as error:
            unanswered += 1
            says = str(error)
        else:
            unanswered = 0
            if _has_succeeded(status, client, name):
                return
            says = _workers(status, client.pods(name))
        if says != said:
            _log.info("%s", says)
        said = says
        time.sleep(interval)
    raise StepError(f"lost sight of the TFJob {name}: {said}")


def _has_succeeded(status: dict[str, Any], client: TFJobClient, name: str) -> bool:
    conditions = status.get("conditions") or ()
    true = {
        condition["type"]: condition for condition in conditions if condition["status"] == "True"
    }
    if "Failed" in true:
        _log_failed_pods(client, name)
        raise StepError(f"the TFJob failed: {true['Failed'].get('message') or 'no reason given'}")
    return "Succeeded" in true


def _workers(status: dict[str, Any], pods: list[Any]) -> str:
    """One line on how the workers are, such as `chief active 1; worker active 2`."""
    counts = status.get("replicaStatuses") or {}
    parts = [
        f"{kind.lower()} "
        + ", ".join(f"{state} {number}" for state, number in of.items() if isinstance(number, int))
        for kind, of in counts.items()
        if of
    ]
    return "; ".join([*parts, *_troubles(pods)]) or "waiting for machines"


def _troubles(pods: list[Any]) -> list[str]:
    """Why pods do not start, such as an image that cannot be pulled."""
    found = [(pod, c.state.waiting) for pod in pods for c in pod.status.container_statuses or ()]
    found += [
        (pod, condition)
        for pod in pods
        for condition in pod.status.conditions or ()
        if (condition.type, condition.status) == ("PodScheduled", "False")
    ]
    return [
        f"{pod.metadata.name}: {' '.join(filter(None, (cause.reason, cause.message)))}"
        for pod, cause in found
        if cause is not None and cause.reason not in _STARTING
    ]


def _log_failed_pods(client: TFJobClient, name: str) -> None:
    for pod in client.pods(name):
        if pod.status.phase == "Failed":
            for line in client.log_tail(pod.metadata.name, _LINES):
                _log.info("%s: %s", pod.metadata.name, line)
