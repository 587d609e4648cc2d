"""What a step asks for, in each cluster's words."""

import json
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.errors import SettingsError
from darkroom.settings import validate_settings
from pipeline.settings.cluster import ClusterSettings
from pipeline.settings.resources import GPUS, checked_accelerator, kubernetes_device
from pipeline.targets.kubeflow.tfjob import training_job
from pipeline.targets.vertex.target import custom_job

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"


def cluster(**values: Any) -> ClusterSettings:
    return validate_settings(ClusterSettings, values, "cluster")


def full() -> ClusterSettings:
    """The section that the golden files are compiled from."""
    config = yaml.safe_load((GOLDEN / "cluster-config.yaml").read_text())
    return cluster(**config["cluster"])


def test_a_step_s_own_keys_go_before_those_of_default() -> None:
    section = cluster(
        resources={
            "default": {"cpu": "2", "retries": 3, "environment": {"A": "1"}},
            "train": {"cpu": "8", "retries": 0},
            "push": {"environment": {}},
        }
    )
    asked = {step: section.resources_of(step) for step in ("ingest", "train", "tune", "push")}
    assert {step: (r.cpu, r.retries) for step, r in asked.items()} == {
        "ingest": ("2", 3),
        "train": ("8", 0),
        "tune": ("8", 0),
        "push": ("2", 3),
    }
    assert {step: dict(asked[step].environment) for step in ("train", "push")} == {
        "train": {"DARKROOM_IMAGE": "darkroom-train:0.1.0", "A": "1"},
        "push": {"DARKROOM_IMAGE": "darkroom-push:0.1.0"},
    }


@pytest.mark.parametrize(
    ("resources", "says"),
    [
        ({"cpu": "4 cores"}, "cluster.resources.train.cpu"),
        ({"memory": "16GB"}, "cluster.resources.train.memory"),
        ({"cpu": "500m", "cpu_request": "1"}, "cpu_request 1 is more than cpu 500m"),
        ({"memory": "16Gi", "memory_request": "17G"}, None),
        ({"memory": "16Gi", "memory_request": "18G"}, "memory_request 18G is more than"),
        ({"accelerator": "NVIDIA_TESLA_T5"}, "did you mean 'NVIDIA_TESLA_T4'"),
        ({"accelerator": "tpu-v5-lite-slice"}, "did you mean 'tpu-v5-lite-podslice'"),
        ({"accelerator": "tpu-v6e-slice"}, "topology and the name of a TPU"),
        ({"timeout": "2 hours"}, "cluster.resources.train.timeout"),
        ({"retries": -1}, "cluster.resources.train.retries"),
        ({"retry": 1}, "did you mean 'retries'"),
    ],
)
def test_a_wrong_resource_is_one_line(resources: dict[str, Any], says: str | None) -> None:
    if says is None:
        cluster(resources={"train": resources})
        return
    with pytest.raises(SettingsError) as raised:
        cluster(resources={"train": resources})
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_default_and_a_step_that_do_not_fit_together_are_one_line() -> None:
    tpu = {"accelerator": "tpu-v6e-slice", "topology": "2x2"}
    section = cluster(resources={"default": tpu, "train": {"accelerator": "NVIDIA_L4"}})
    with pytest.raises(SettingsError, match=r"cluster\.resources\.train.*topology and the name"):
        section.resources_of("train")


def test_vertex_s_own_list_has_every_gpu() -> None:
    from google.cloud.aiplatform_v1.types import AcceleratorType

    known = {kind.name for kind in AcceleratorType if kind.name.startswith("NVIDIA")}
    assert set(GPUS) == known - {"NVIDIA_TESLA_K80"}, "a K80 cannot be had any more"


@pytest.mark.parametrize(
    ("name", "resource", "labels"),
    [
        ("nvidia.com/gpu", "nvidia.com/gpu", {}),
        ("amd.com/gpu", "amd.com/gpu", {}),
        ("nvidia-tesla-t4", "nvidia.com/gpu", {"gke-accelerator": "nvidia-tesla-t4"}),
        ("NVIDIA_H100_80GB", "nvidia.com/gpu", {"gke-accelerator": "nvidia-h100-80gb"}),
        (
            "tpu-v5-lite-podslice",
            "google.com/tpu",
            {"gke-tpu-accelerator": "tpu-v5-lite-podslice", "gke-tpu-topology": "2x4"},
        ),
    ],
)
def test_kubernetes_finds_a_node_by_labels(
    name: str, resource: str, labels: dict[str, str]
) -> None:
    topology = "2x4" if name.startswith("tpu") else None
    device = kubernetes_device(checked_accelerator(name), topology)
    assert device.resource == resource
    assert device.labels == {f"cloud.google.com/{key}": value for key, value in labels.items()}


def test_the_workers_have_what_the_train_step_asks_for() -> None:
    job = training_job(full())
    specs = job["manifest"]["spec"]["tfReplicaSpecs"]
    assert {kind: spec["replicas"] for kind, spec in specs.items()} == {"Chief": 1, "Worker": 2}
    assert {spec["restartPolicy"] for spec in specs.values()} == {"OnFailure"}
    assert job["manifest"]["spec"]["runPolicy"] == {
        "cleanPodPolicy": "Running",
        "backoffLimit": 2,
        "activeDeadlineSeconds": 12 * 3600,
    }
    pod = specs["Worker"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "tensorflow", "the operator sets TF_CONFIG in this one alone"
    assert container["resources"] == {
        "limits": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "2"},
        "requests": {"cpu": "4", "memory": "16Gi"},
    }
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-accelerator": "nvidia-tesla-t4",
        "pool": "gpus",
    }
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"/shared", "/secrets/authority"}
    assert job["shared_folder"] == "/shared/darkroom"


def test_a_worker_s_pod_is_one_by_kubernetes_own_models() -> None:
    """Read with the client's models and written again, nothing is lost: each key is known."""
    from kubernetes import client

    template = training_job(full())["manifest"]["spec"]["tfReplicaSpecs"]["Chief"]["template"]
    api = client.ApiClient()
    answer = types.SimpleNamespace(data=json.dumps(template))
    read = api.deserialize(answer, "V1PodTemplateSpec")
    assert api.sanitize_for_serialization(read) == template


@pytest.mark.parametrize("shared", ["", "/elsewhere", "/shared-not"])
def test_workers_need_a_folder_that_they_share(shared: str) -> None:
    section = full()
    kfp = section.kfp.model_copy(update={"shared_folder": shared})
    with pytest.raises(SettingsError, match=r"cluster\.kfp\.shared_folder"):
        training_job(section.model_copy(update={"kfp": kfp}))


def test_vertex_s_worker_pools_are_so_by_its_own_protos() -> None:
    from google.cloud.aiplatform_v1.types import WorkerPoolSpec
    from google.protobuf import json_format

    (pipeline,) = yaml.safe_load_all((GOLDEN / "cluster.vertex.yaml").read_text())
    inputs = pipeline["components"]["comp-train"]["inputDefinitions"]["parameters"]
    pools = [
        json_format.ParseDict(pool, WorkerPoolSpec.pb(WorkerPoolSpec()))
        for pool in inputs["worker_pool_specs"]["defaultValue"]
    ]
    assert [pool.replica_count for pool in pools] == [1, 2]
    for pool in pools:
        assert pool.machine_spec.machine_type == "n1-standard-16"
        assert pool.machine_spec.accelerator_count == 2
        assert pool.container_spec.image_uri == "registry.example/team/darkroom-train:0.1.0"
    assert inputs["timeout"]["defaultValue"] == "43200s"
    given = {key: inputs[key]["defaultValue"] for key in ("service_account", "network", "labels")}
    assert given == {
        "service_account": "runner@project.iam.gserviceaccount.com",
        "network": "projects/1/global/networks/shared",
        "labels": {"team": "vision"},
    }


def test_a_tpu_is_a_machine_on_vertex() -> None:
    from kfp import dsl

    from components.train.step import train

    resources = {"accelerator": "tpu-v5-lite-podslice", "accelerator_count": 4, "topology": "2x2"}
    section = cluster(resources={"train": resources})
    component = dsl.component(train, base_image="i", install_kfp_package=False)
    job = custom_job(component, section.resources_of("train"), section.vertex)
    (pool,) = job.component_spec.inputs["worker_pool_specs"].default
    assert pool["machine_spec"] == {"machine_type": "ct5lp-hightpu-4t", "tpu_topology": "2x2"}
