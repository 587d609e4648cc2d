"""What every cluster is told of a step's task in the same words: limits, environment, retries."""

from typing import Any

from pipeline.settings.resources import ResourceSettings


def set_retries(task: Any, resources: ResourceSettings) -> None:
    """Says on a task how often, and when, it is tried again."""
    if resources.retries:
        task.set_retry(
            resources.retries,
            backoff_duration=resources.retry_after,
            backoff_factor=resources.retry_factor,
            backoff_max_duration=resources.retry_at_most,
        )


def set_limits(task: Any, resources: ResourceSettings) -> None:
    """Says on a task the most that it may use, and its environment."""
    if resources.cpu is not None:
        task.set_cpu_limit(resources.cpu)
    if resources.memory is not None:
        task.set_memory_limit(resources.memory)
    for name, value in resources.environment.items():
        task.set_env_variable(name, value)
