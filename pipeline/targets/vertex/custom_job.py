"""A step as a Vertex custom job: on a machine by name, or on several that train together."""

from typing import Any

from darkroom.errors import SettingsError
from pipeline.settings.accelerators import is_tpu, vertex_tpu_machine
from pipeline.settings.cluster import VertexSettings
from pipeline.settings.resources import ResourceSettings, seconds

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
