"""What a step asks for, as the graph's task says it to each cluster."""

from typing import Any

from pipeline.targets.accelerators import kubernetes_device
from pipeline.targets.kubeflow.pods import PodSettings
from pipeline.targets.resources import ResourceSettings, seconds


def place_on_kubeflow(task: Any, resources: ResourceSettings, pod: PodSettings) -> None:
    """Says on a task what its pod asks for.

    Args:
        task: The task, a kfp.dsl.PipelineTask.
        resources: What the step asks for.
        pod: Where its pod may run, and what is mounted into it.
    """
    from kfp import kubernetes

    _set_limits(task, resources)
    if resources.cpu_request is not None:
        task.set_cpu_request(resources.cpu_request)
    if resources.memory_request is not None:
        task.set_memory_request(resources.memory_request)
    if resources.accelerator is not None:
        device = kubernetes_device(resources.accelerator, resources.topology)
        task.set_accelerator_type(device.resource)
        task.set_accelerator_limit(resources.accelerator_count)
        for label, value in device.labels.items():
            kubernetes.add_node_selector(task, label, value)
    if resources.timeout is not None:
        kubernetes.set_timeout(task, seconds(resources.timeout))
    set_pod(task, pod)


def set_pod(task: Any, pod: PodSettings) -> None:
    """Says on a task where its pod may run, and what is mounted into it."""
    from kfp import kubernetes

    for label, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in pod.tolerations:
        given = {key: value for key, value in toleration.model_dump().items() if value}
        kubernetes.add_toleration(task, **given)
    for secret in pod.secrets:
        if secret.mount:
            kubernetes.use_secret_as_volume(task, secret.name, secret.mount)
        else:
            for variable, key in secret.environment.items():
                kubernetes.use_secret_as_env(task, secret.name, {key: variable})
    for volume in pod.volumes:
        kubernetes.mount_pvc(task, volume.claim, volume.mount, volume.folder)
    if pod.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(pod.image_pull_secrets))
    for label, value in pod.labels.items():
        kubernetes.add_pod_label(task, label, value)
    for key, value in pod.annotations.items():
        kubernetes.add_pod_annotation(task, key, value)


def place_on_vertex(task: Any, resources: ResourceSettings) -> None:
    """Says on a task what Vertex is to pick a machine by."""
    _set_limits(task, resources)
    if resources.accelerator is not None:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerator_count)


def set_retries(task: Any, resources: ResourceSettings) -> None:
    """Says on a task how often, and when, it is tried again."""
    if resources.retries:
        task.set_retry(
            resources.retries,
            backoff_duration=resources.retry_after,
            backoff_factor=resources.retry_factor,
            backoff_max_duration=resources.retry_at_most,
        )


def _set_limits(task: Any, resources: ResourceSettings) -> None:
    if resources.cpu is not None:
        task.set_cpu_limit(resources.cpu)
    if resources.memory is not None:
        task.set_memory_limit(resources.memory)
    for name, value in resources.environment.items():
        task.set_env_variable(name, value)
