"""Kubeflow Pipelines as a place to run: what is particular to it when a pipeline is compiled."""

import functools
from collections.abc import Callable
from typing import Any

from darkroom.durations import seconds
from pipeline.config import Config
from pipeline.settings.pods import PodSettings
from pipeline.settings.resources import ResourceSettings, kubernetes_device
from pipeline.steps import Step
from pipeline.target import ClusterClient
from pipeline.targets.task_resources import set_limits, set_retries


class KubeflowTarget:
    """Kubeflow Pipelines; see `pipeline.target.Target`."""

    name = "kfp"
    is_cluster = True

    def check(self, config: Config) -> None:
        """Kubeflow takes whatever Kubernetes does."""

    def build(self, config: Config, step: Step, component: Any) -> Callable[..., Any]:
        """The step's own component, or one that starts a TFJob for several workers."""
        if not _trains_as_job(config, step):
            made: Callable[..., Any] = component
            return made
        from kfp import dsl

        from components.train.tfjob.step import train
        from pipeline.targets.kubeflow.tfjob import training_job

        image = config.cluster.image(step.name)
        starts = dsl.component(train, base_image=image, install_kfp_package=False)
        return functools.partial(starts, job=training_job(config.cluster))

    def apply_resources(self, task: Any, config: Config, step: Step) -> None:
        """Says on a task what its pod asks for."""
        cluster = config.cluster
        resources, pod = cluster.resources_of(step.name), cluster.pod_of(step.name)
        if _trains_as_job(config, step):
            # What the config asks for are the workers' machines; the job retries them itself.
            place_on_kubeflow(task, resources.without_machine(), cluster.without_node(pod))
            return
        if step.light:
            resources, pod = resources.without_machine(), cluster.without_node(pod)
        set_retries(task, resources)
        place_on_kubeflow(task, resources, pod)

    def client(self, config: Config) -> ClusterClient:
        """The Kubeflow that the config names."""
        from pipeline.targets.kubeflow.client import Kubeflow

        return Kubeflow(config.cluster.kfp)


def _trains_as_job(config: Config, step: Step) -> bool:
    return step.name == "train" and config.cluster.workers > 1


def place_on_kubeflow(task: Any, resources: ResourceSettings, pod: PodSettings) -> None:
    """Says on a task what its pod asks for.

    Args:
        task: The task, a kfp.dsl.PipelineTask.
        resources: What the step asks for.
        pod: Where its pod may run, and what is mounted into it.
    """
    from kfp import kubernetes

    set_limits(task, resources)
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


TARGET = KubeflowTarget()
