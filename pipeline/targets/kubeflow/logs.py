"""What a step printed, as far as Kubeflow's API gives it."""

import collections
import json
from collections.abc import Iterator
from typing import Any

from darkroom.errors import StepError
from pipeline.targets.kubeflow.connection import Connection
from pipeline.targets.kubeflow.package import step_images
from pipeline.targets.kubeflow.runs import NO_IMAGE, details, executors, no_image

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
