"""The compiled files are as they were: a change of them is seen in review.

After a change that is meant, write them again: `pytest tests/test_compiled.py --update-golden`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, Finished

pytestmark = pytest.mark.slow

GOLDEN = ROOT / "tests" / "golden"
CONFIGS = {
    "digits": ROOT / "configs" / "digits.yaml",
    "cluster": GOLDEN / "cluster-config.yaml",
    "monitor": GOLDEN / "monitor-config.yaml",
}
TARGETS = ["kfp", "vertex"]


def read(file: Path) -> list[dict[str, Any]]:
    return [dict(document) for document in yaml.safe_load_all(file.read_text())]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("config", CONFIGS)
def test_the_compiled_file_is_the_golden_one(
    command: Callable[..., Finished], config: str, target: str, tmp_path: Path, update_golden: bool
) -> None:
    file, golden = tmp_path / "pipeline.yaml", GOLDEN / f"{config}.{target}.yaml"
    finished = command("compile", CONFIGS[config], "--target", target, "-o", file)
    assert finished.code == 0
    assert all(line.startswith("warning: ") for line in finished.error.splitlines())
    if update_golden:
        golden.write_text(file.read_text())
    assert file.read_text() == golden.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.*.yaml")), ids=lambda path: path.name)
def test_the_file_is_a_pipeline_by_kfps_own_protos(file: Path) -> None:
    """An unknown or wrongly typed field fails; so does a pod that Kubeflow could not read."""
    from google.protobuf import json_format
    from kfp import components
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    pipeline, *platforms = read(file)
    spec = json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    steps = {"monitor"} if file.name.startswith("monitor.") else {"ingest", "train", "push"}
    assert set(spec.components) >= {f"comp-{step}" for step in steps}
    for executor in pipeline["deploymentSpec"]["executors"].values():
        kind = pipeline_spec_pb2.PipelineDeploymentConfig.ExecutorSpec()
        assert json_format.ParseDict(executor, kind).container.image
    for platform in platforms:
        json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        for pod in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            kind = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
            json_format.ParseDict(pod, kind)
    loaded = components.load_component_from_file(str(file))
    for step in steps - {"push"}:  # which is within the condition
        assert loaded.pipeline_spec.root.dag.tasks[step].inputs.parameters["settings"]
    assert len(platforms) == ("platforms" in json_format.MessageToDict(loaded.platform_spec))


def tasks(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All tasks, those within the condition too."""
    graphs = [pipeline["root"], *pipeline["components"].values()]
    return {name: t for g in graphs if "dag" in g for name, t in g["dag"]["tasks"].items()}


@pytest.mark.parametrize("target", TARGETS)
def test_no_step_is_cached_by_a_path(target: str) -> None:
    """Ingest goes by what a step of every run found at the path; what follows, by artifacts."""
    (pipeline,) = read(GOLDEN / f"digits.{target}.yaml")
    found = tasks(pipeline)
    options = {name: task.get("cachingOptions", {}) for name, task in found.items()}
    cached = {name for name, option in options.items() if option.get("enableCache")}
    assert cached == {"ingest", "transform", "train", "evaluate"}
    fingerprint = found["ingest"]["inputs"]["parameters"]["data_fingerprint"]
    assert fingerprint["taskOutputParameter"]["producerTask"] == "fingerprint"
    assert found["fingerprint"]["inputs"] == {
        "parameters": {
            "data": {"componentInputParameter": "data"},
            "settings": {"componentInputParameter": "ingest"},
        }
    }


def test_vertex_takes_the_file(command: Callable[..., Finished], tmp_path: Path) -> None:
    """Vertex's own client reads the file and its parameters; nothing is sent."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    file = GOLDEN / "digits.vertex.yaml"
    job = aiplatform.PipelineJob(
        display_name="digits",
        template_path=str(file),
        pipeline_root="gs://bucket/root",
        parameter_values={"data": "gs://bucket/flowers", "train": {"epochs": 3}},
        project="project",
        location="europe-west4",
        credentials=AnonymousCredentials(),
    )
    values = job.to_dict()["runtimeConfig"]["parameterValues"]
    assert values == {"data": "gs://bucket/flowers", "train": {"epochs": 3}}


def test_a_pipeline_names_the_images_that_a_build_pushed(
    command: Callable[..., Finished], tmp_path: Path
) -> None:
    digest = f"sha256:{'1' * 64}"
    built = {
        "ingest": {
            "containerimage.digest": digest,
            "image.name": "registry.example:5000/team/darkroom-ingest:0.1.0",
        },
        "buildx.build.provenance/ingest": {},
    }
    (tmp_path / "images.json").write_text(json.dumps(built))
    file = tmp_path / "pipeline.yaml"
    settings = ["--set", f"cluster.images_file={tmp_path / 'images.json'}"]
    command("compile", CONFIGS["digits"], "--target", "kfp", "-o", file, *settings)
    (pipeline,) = read(file)
    executors = pipeline["deploymentSpec"]["executors"]
    pushed = f"registry.example:5000/team/darkroom-ingest@{digest}"
    assert executors["exec-ingest"]["container"]["image"] == pushed
    assert executors["exec-fingerprint"]["container"]["image"] == pushed
    assert executors["exec-train"]["container"]["image"] == "darkroom-train:0.1.0"


@pytest.mark.parametrize(
    ("target", "settings", "says"),
    [
        (
            "vertex",
            ["resources.train.accelerator=nvidia.com/gpu"],
            "vertex knows names such as NVIDIA_TESLA_T4, not 'nvidia.com/gpu'",
        ),
        ("vertex", ["resources.train.timeout=2h"], "set cluster.resources.train.machine"),
        (
            "vertex",
            ["resources.train={accelerator: tpu-v4-podslice, topology: 2x2x1}"],
            "Vertex trains on no tpu-v4-podslice; on tpu-v5-lite-podslice",
        ),
        ("vertex", ["workers=2"], "set cluster.resources.train.machine"),
        ("kfp", ["workers=2"], "need a folder on one of cluster.kfp.pods.train.volumes"),
        ("kfp", ["images_file=nowhere.json"], "cluster.images_file nowhere.json: No such file"),
    ],
)
def test_what_a_target_cannot_give_is_refused_in_one_line(
    command: Callable[..., Finished],
    target: str,
    settings: list[str],
    says: str,
    tmp_path: Path,
) -> None:
    options = [part for setting in settings for part in ("--set", f"cluster.{setting}")]
    file = tmp_path / "x.yaml"
    finished = command("compile", CONFIGS["digits"], "--target", target, "-o", file, *options)
    (line,) = finished.error.splitlines()
    assert finished.code == 2
    assert says in line
    assert not list(tmp_path.iterdir())


def test_several_workers_and_the_strategy_agree(
    command: Callable[..., Finished], tmp_path: Path
) -> None:
    for override, says in (
        ("train.strategy=multi_worker", "set cluster.workers to the number of machines"),
        ("train.strategy=mirrored", "train.strategy is mirrored, which is for one machine"),
    ):
        workers = [] if "multi" in override else ["--set", "cluster.workers=2"]
        finished = command(
            *("compile", CONFIGS["digits"], "--target", "kfp", "-o", tmp_path / "x.yaml"),
            *("--set", override, *workers),
        )
        assert finished.code == 2
        assert says in finished.error
