"""Vertex Pipelines as a target: what is particular to it when a pipeline is compiled.

A step on a machine type, or on several machines, becomes a Vertex custom job.
"""

from collections.abc import Callable
from typing import Any

from darkroom.durations import seconds
from darkroom.errors import SettingsError
from pipeline.config import Config
from pipeline.settings.cluster import VertexSettings
from pipeline.settings.resources import ResourceSettings, is_tpu, vertex_tpu_machine
from pipeline.steps import Step
from pipeline.target import ClusterClient
from pipeline.targets.task_resources import set_limits, set_retries


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


_LONGEST = "7d"
_DISK_GB = 100


def is_custom_job(resources: ResourceSettings, workers: int = 1) -> bool:
    """Whether a step runs as a custom job on Vertex, which alone has machines by name."""
    return workers > 1 or resources.machine is not None or is_tpu(resources.accelerator)


def check_on_vertex(step: str, resources: ResourceSettings, workers: int = 1) -> None:
    """Checks that Vertex can give a step what it asks for.

    Args:
        step: Its name, for messages.
        resources: What it asks for.
        workers: Number of machines.

    Raises:
        SettingsError: It cannot.
    """
    name, key = resources.accelerator, f"cluster.resources.{step}"
    if name is not None and "/" in name:
        raise SettingsError(
            f"{key}.accelerator: vertex knows names such as NVIDIA_TESLA_T4, not '{name}'"
        )
    if name is not None and is_tpu(name) and resources.machine is None:
        try:
            vertex_tpu_machine(name, resources.accelerator_count)
        except ValueError as error:
            raise SettingsError(f"{key}.accelerator: {error}") from None
    elif resources.machine is None and (workers > 1 or resources.timeout is not None):
        asks = "cluster.workers above 1 are" if workers > 1 else f"{key}.timeout is"
        raise SettingsError(
            f"{asks} for custom jobs on vertex: set {key}.machine, such as n1-standard-8"
        )


def custom_job(
    component: Any, resources: ResourceSettings, vertex: VertexSettings, workers: int = 1
) -> Any:
    """Turns a step into one that starts a custom job and waits for it.

    The job's containers run what the step's own would have, with the same inputs and outputs;
    Vertex tells each of several machines by TF_CONFIG which it is.

    Args:
        component: The step, a kfp component.
        resources: What each machine has; `machine`, or a TPU that names it.
        vertex: Account, network, key and labels of the job.
        workers: Number of machines.

    Returns:
        The kfp component.
    """
    from google_cloud_pipeline_components.v1.custom_job import (
        create_custom_training_job_from_component,
    )

    environment = [{"name": name, "value": value} for name, value in resources.environment.items()]
    job = create_custom_training_job_from_component(
        component,
        display_name=component.name,
        replica_count=workers,
        timeout=f"{seconds(resources.timeout or _LONGEST)}s",
        boot_disk_size_gb=_DISK_GB,
        service_account=vertex.service_account,
        network=vertex.network,
        encryption_spec_key_name=vertex.encryption_key,
        labels=dict(vertex.labels),
        env=environment,
        **_machine(resources),
    )
    if resources.topology is not None:
        for pool in job.component_spec.inputs["worker_pool_specs"].default:
            pool["machine_spec"]["tpu_topology"] = resources.topology
    return job


def _machine(resources: ResourceSettings) -> dict[str, Any]:
    name = resources.accelerator
    if name is not None and is_tpu(name):
        machine = resources.machine or vertex_tpu_machine(name, resources.accelerator_count)
        return {"machine_type": machine}
    given = {"machine_type": resources.machine}
    if name is None:
        return given
    return {**given, "accelerator_type": name, "accelerator_count": resources.accelerator_count}
