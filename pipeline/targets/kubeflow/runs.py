"""Runs on Kubeflow: their steps' states and their steps' logs.

Its `task_details` are the nodes of an Argo workflow. A step `train` is a node of that name, beside
one of its driver (`train-driver`); the pod that does the work is a node `executor`, one for every
step. Nothing in the API ties the two together but the time, as its server leaves `parent_task_id`
and `pod_name` empty (api_converter.go, toApiPipelineTaskDetail).
"""

import collections
import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.errors import StepError
from pipeline.target import ENDED, Run, State, StepState
from pipeline.targets.kubeflow.connection import Connection
from pipeline.targets.kubeflow.package import step_images

_STATES: Mapping[str | None, State] = {
    "PENDING": "pending",
    "RUNNING": "running",
    "PAUSED": "running",
    "CANCELING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "cancelled",
    "SKIPPED": "skipped",
}
_EXECUTOR = "executor"
NO_IMAGE = re.compile(r"ImagePullBackOff|ErrImagePull|InvalidImageName|failing to pull image")
"""How Kubernetes says that an image cannot be had."""


def read_run(raw: Any, host: str) -> Run:
    """A run of the API, with its steps as far as the answer holds them.

    Args:
        raw: The API's V2beta1Run.
        host: The API's address, which shows the run to people as well.
    """
    state = _STATES.get(raw.state, "pending")
    return Run(
        id=raw.run_id,
        name=raw.display_name or "",
        state=state,
        address=f"{host}/#/runs/details/{raw.run_id}",
        created=raw.created_at,
        finished=_time(raw.finished_at),
        steps=_steps(raw, state),
        error=_error(raw),
    )


def details(raw: Any) -> Sequence[Any]:
    """The tasks of a run of the API."""
    return (raw.run_details and raw.run_details.task_details) or ()


def executors(task: Any, tasks: Sequence[Any]) -> list[Any]:
    """The tasks that are a step's work: those named so that lie within the step's time."""
    begin, end = _time(task.start_time), _time(task.end_time)
    return [
        other
        for other in tasks
        if (other.display_name or "").startswith(_EXECUTOR)
        and (other.parent_task_id in (None, "", task.task_id))
        and _within(_time(other.start_time), begin, end)
    ]


def _steps(raw: Any, run_state: State) -> tuple[StepState, ...]:
    tasks = details(raw)
    if not raw.pipeline_spec:
        return ()
    by_name = {task.display_name: task for task in tasks}
    return tuple(
        _step(name, image, by_name.get(name), tasks, run_state)
        for name, image in step_images(raw.pipeline_spec).items()
    )


def _step(name: str, image: str, task: Any, tasks: Sequence[Any], run_state: State) -> StepState:
    if task is None:
        # What a condition leaves out, or what an earlier failure kept from running, has no task.
        return StepState(name, "skipped" if run_state in ENDED else "pending")
    state = _STATES.get(task.state, "pending")
    work = executors(task, tasks)
    if state == "succeeded" and work and all(other.state == "SKIPPED" for other in work):
        state = "cached"
    error = next((text for text in map(_error, (task, *work)) if text), "")
    if NO_IMAGE.search(error):
        error = no_image(name, image, error)
    elif state != "failed":
        error = ""
    return StepState(
        name,
        state,
        started=_time(task.start_time),
        finished=_time(task.end_time),
        error=error,
    )


def no_image(step: str, image: str, message: str) -> str:
    """The line for people about an image that cannot be had."""
    return (
        f"the image {image} cannot be pulled ({message}); push it, or name another in "
        f"cluster.images.{step}, cluster.registry or cluster.tag"
    )


def _error(raw: Any) -> str:
    """What a run or a task says of its failure, or ""."""
    history = [status.error for status in (raw.state_history or ())]
    messages = [error.message for error in (raw.error, *reversed(history)) if error is not None]
    return next((" ".join(message.split()) for message in messages if message), "")


def _time(value: datetime.datetime | None) -> datetime.datetime | None:
    """The time, or None: the server writes the year 1970 or 1 for what has not happened."""
    return None if value is None or value.year <= 1970 else value


def _within(
    time: datetime.datetime | None,
    begin: datetime.datetime | None,
    end: datetime.datetime | None,
) -> bool:
    """Whether a time lies from `begin` up to `end`, where the next step may begin."""
    if time is None or begin is None:
        return False
    return time == begin or (begin < time and (end is None or time < end))


_LOG = "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"
# Argo calls a pod by its node's id with the template's name before the hash; a step with retries
# has a template of its own (argocompiler/container.go).
_TEMPLATES = ("system-container-impl", "retry-system-container-impl")


def log_tail(connection: Connection, raw: Any, step: str, lines: int) -> list[str]:
    """The last lines of a step's log.

    Args:
        connection: The API.
        raw: The run, as the API gives it.
        step: The step's name.
        lines: How many lines.

    Returns:
        The lines; none where the pod is gone, or the API does not say which it was.

    Raises:
        StepError: The step waits for an image that cannot be had.
    """
    for pod in _pods(raw, step):
        try:
            answer = connection.get(_LOG, {"run_id": raw.run_id, "node_id": pod})
        except StepError:
            continue
        tail = list(collections.deque(_lines(answer), maxlen=lines))
        to_step_error = _refusal(tail[-1]) if tail else ""
        if NO_IMAGE.search(to_step_error):
            raise StepError(no_image(step, step_images(raw.pipeline_spec)[step], to_step_error))
        if not to_step_error:
            return tail
    return []


def _pods(raw: Any, step: str) -> Iterator[str]:
    """The names that the step's pod may have, its last attempt's first."""
    tasks = details(raw)
    for task in (task for task in tasks if task.display_name == step):
        work = executors(task, tasks)
        yield from (other.pod_name for other in reversed(work) if other.pod_name)
        for parent in (*reversed(work), task):
            for child in reversed(parent.child_tasks or ()):
                workflow, _, mark = (child.pod_name or "").rpartition("-")
                yield from (f"{workflow}-{template}-{mark}" for template in _TEMPLATES)


def _lines(answer: Any) -> Iterator[str]:
    """A log's lines, one at a time, so that a log of gigabytes is never held."""
    rest = ""
    try:
        for chunk in answer.stream(decode_content=True):
            *whole, rest = (rest + chunk.decode("utf-8", errors="replace")).split("\n")
            yield from (line.rstrip("\r") for line in whole)
    finally:
        answer.release_conn()
    if rest:
        yield rest


def _refusal(line: str) -> str:
    """The message, where a line is not a log's but the API's error; it comes with status 200."""
    if not line.startswith('{"error_'):
        return ""
    try:
        return str(json.loads(line).get("error_message", ""))
    except ValueError:
        return ""
