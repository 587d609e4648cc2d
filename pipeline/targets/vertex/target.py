"""Vertex Pipelines as a place to run: what is particular to it when a pipeline is compiled."""

from collections.abc import Callable
from typing import Any

from pipeline.cluster_client import ClusterClient
from pipeline.config import Config
from pipeline.settings.resources import ResourceSettings
from pipeline.steps import Step
from pipeline.targets.task_resources import set_limits, set_retries
from pipeline.targets.vertex.custom_job import check_on_vertex, custom_job, is_custom_job


class VertexTarget:
    """Vertex Pipelines; see `pipeline.target.Target`."""

    name = "vertex"
    is_cluster = True

    def check(self, config: Config) -> None:
        """Refuses machines, accelerators and time limits that Vertex does not know."""
        for name in config.steps:
            workers = config.cluster.workers if name == "train" else 1
            check_on_vertex(name, config.cluster.resources_of(name), workers)

    def build(self, config: Config, step: Step, component: Any) -> Callable[..., Any]:
        """The step's own component, or a custom job of it."""
        made: Callable[..., Any] = component
        if _runs_as_custom_job(config, step):
            resources = config.cluster.resources_of(step.name)
            workers = _workers(config, step)
            made = custom_job(component, resources, config.cluster.vertex, workers)
        return made

    def apply_resources(self, task: Any, config: Config, step: Step) -> None:
        """Says on a task what Vertex is to pick a machine by; a custom job says it itself."""
        resources = config.cluster.resources_of(step.name)
        if step.light:
            resources = resources.without_machine()
        set_retries(task, resources)
        if not _runs_as_custom_job(config, step):
            place_on_vertex(task, resources)

    def client(self, config: Config) -> ClusterClient:
        """The Google Cloud project that the config names."""
        from pipeline.targets.vertex.client import Vertex

        return Vertex(config.cluster.vertex)


def _runs_as_custom_job(config: Config, step: Step) -> bool:
    if step.light:
        return False
    return is_custom_job(config.cluster.resources_of(step.name), _workers(config, step))


def _workers(config: Config, step: Step) -> int:
    return config.cluster.workers if step.name == "train" else 1


def place_on_vertex(task: Any, resources: ResourceSettings) -> None:
    """Says on a task what Vertex is to pick a machine by."""
    set_limits(task, resources)
    if resources.accelerator is not None:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerator_count)


TARGET = VertexTarget()
