"""A training on several machines of Kubernetes, as the manifest of a TFJob."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from darkroom.durations import seconds
from darkroom.errors import SettingsError
from pipeline.settings.cluster import ClusterSettings
from pipeline.settings.pods import PodSettings, Secret, Volume
from pipeline.settings.resources import ResourceSettings, kubernetes_device


def training_job(cluster: ClusterSettings) -> dict[str, Any]:
    """Translates what the train step asks for into the job that the step starts.

    The operator of TFJobs tells each worker by TF_CONFIG which it is.

    Args:
        cluster: The config's section, with more than one worker.

    Returns:
        The values of `components.train.tfjob.train.JobSettings`.

    Raises:
        SettingsError: The workers share no folder.
    """
    resources, pod = cluster.resources_of("train"), cluster.pod_of("train")
    _check_shared(cluster.kfp.shared_folder, pod.volumes)
    template = _template(cluster, resources, pod)
    # Where one worker is lost the others end too: all are restarted, and resume from the
    # checkpoint.
    policy = "OnFailure" if resources.retries else "Never"
    run_policy: dict[str, Any] = {"cleanPodPolicy": "Running", "backoffLimit": resources.retries}
    if resources.timeout is not None:
        run_policy["activeDeadlineSeconds"] = seconds(resources.timeout)
    replicas = {"Chief": 1, "Worker": cluster.workers - 1}
    manifest = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"generateName": "darkroom-train-"},
        "spec": {
            "runPolicy": run_policy,
            "tfReplicaSpecs": {
                kind: {"replicas": number, "restartPolicy": policy, "template": template}
                for kind, number in replicas.items()
            },
        },
    }
    return {"manifest": manifest, "shared_folder": cluster.kfp.shared_folder}


def _check_shared(folder: str, volumes: Iterable[Volume]) -> None:
    mounts = [PurePosixPath(volume.mount) for volume in volumes]
    if not folder or not any(PurePosixPath(folder).is_relative_to(mount) for mount in mounts):
        raise SettingsError(
            f"cluster.kfp.shared_folder '{folder}': cluster.workers above 1 need a folder on one "
            "of cluster.kfp.pods.train.volumes, through which the workers get their examples"
        )


def _template(
    cluster: ClusterSettings, resources: ResourceSettings, pod: PodSettings
) -> dict[str, Any]:
    """A worker's pod, kubernetes.client.V1PodTemplateSpec as a mapping."""
    selector = dict(pod.node_selector)
    limits = {"cpu": resources.cpu, "memory": resources.memory}
    requests = {"cpu": resources.cpu_request, "memory": resources.memory_request}
    if resources.accelerator is not None:
        device = kubernetes_device(resources.accelerator, resources.topology)
        limits[device.resource] = str(resources.accelerator_count)
        selector = {**device.labels, **selector}
    container = {
        # The operator sets TF_CONFIG in the container of this name.
        "name": "tensorflow",
        "image": cluster.image("train"),
        "command": ["python", "-m", "components.train"],
        "env": [*_variables(resources), *_secret_variables(pod.secrets)],
        "resources": _given({"limits": _given(limits), "requests": _given(requests)}),
        "volumeMounts": [
            _given({"name": name, "mountPath": mount, "subPath": folder})
            for name, mount, folder, _ in _mounts(pod)
        ],
    }
    spec = {
        "containers": [_given(container)],
        "serviceAccountName": cluster.kfp.service_account,
        "nodeSelector": selector,
        "tolerations": [_given(toleration.model_dump()) for toleration in pod.tolerations],
        "imagePullSecrets": [{"name": name} for name in pod.image_pull_secrets],
        "volumes": [{"name": name, **source} for name, _, _, source in _mounts(pod)],
    }
    # A proxy of Istio's would outlive the training, and its pod would never end.
    annotations = {"sidecar.istio.io/inject": "false", **pod.annotations}
    metadata = _given({"annotations": annotations, "labels": pod.labels})
    return {"metadata": metadata, "spec": _given(spec)}


def _variables(resources: ResourceSettings) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in resources.environment.items()]


def _secret_variables(secrets: Iterable[Secret]) -> list[dict[str, Any]]:
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret.name, "key": key}}}
        for secret in secrets
        for variable, key in secret.environment.items()
    ]


def _mounts(pod: PodSettings) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Name, place, folder of the volume, and the volume's source, of everything mounted."""
    claims = [
        (v.mount, v.folder, {"persistentVolumeClaim": {"claimName": v.claim}}) for v in pod.volumes
    ]
    secrets = [
        (secret.mount, "", {"secret": {"secretName": secret.name}})
        for secret in pod.secrets
        if secret.mount
    ]
    return [(f"mount-{number}", *mount) for number, mount in enumerate([*claims, *secrets])]


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """The values that say something."""
    return {name: value for name, value in values.items() if value}
