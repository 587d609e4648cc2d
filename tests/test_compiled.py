"""The compiled files are as they were: a change of them is seen in review.

After a change that is meant, write them anew:
`darkroom compile configs/digits.yaml --target kfp -o tests/golden/digits.kfp.yaml`, and vertex.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, Finished

TARGETS = ["kfp", "vertex"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_compiled_digits_are_the_golden_file(
    command: Callable[..., Finished], target: str, tmp_path: Path
) -> None:
    file = tmp_path / "pipeline.yaml"
    finished = command("compile", "configs/digits.yaml", "--target", target, "-o", file)
    assert (finished.code, finished.error) == (0, "")
    assert file.read_text() == (ROOT / "tests" / "golden" / f"digits.{target}.yaml").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]


@pytest.mark.parametrize("target", TARGETS)
def test_images_and_machines_are_the_clusters(
    command: Callable[..., Finished], target: str, tmp_path: Path
) -> None:
    file = tmp_path / "pipeline.yaml"
    accelerator = "nvidia.com/gpu" if target == "kfp" else "NVIDIA_TESLA_T4"
    train = f"{{cpu: '4', memory: 16Gi, accelerator: {accelerator}, accelerator_count: 2}}"
    settings = [
        "cluster.registry=registry.example/team/",
        "cluster.images.push=registry.example/own/push:3",
        f"cluster.resources.train={train}",
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    command("compile", "configs/digits.yaml", "--target", target, "-o", file, *options)
    (document,) = yaml.safe_load_all(file.read_text())
    executors = document["deploymentSpec"]["executors"]
    images = {name.removeprefix("exec-"): e["container"]["image"] for name, e in executors.items()}
    assert images == {
        step: f"registry.example/team/darkroom-{step}:0.1.0"
        for step in ("ingest", "transform", "train", "evaluate")
    } | {"push": "registry.example/own/push:3"}
    resources = executors["exec-train"]["container"]["resources"]
    assert resources["resourceCpuLimit"] == "4"
    assert resources["resourceMemoryLimit"] == "16Gi"
    assert resources["accelerator"]["resourceType"] == accelerator
    assert resources["accelerator"]["resourceCount"] == "2"
    assert "resources" not in executors["exec-ingest"]["container"]


def test_accelerators_are_named_as_the_target_names_them(
    command: Callable[..., Finished], tmp_path: Path
) -> None:
    override = "cluster.resources.train.accelerator=nvidia.com/gpu"
    finished = command(
        *("compile", "configs/digits.yaml", "--target", "vertex"),
        *("-o", tmp_path / "x.yaml", "--set", override),
    )
    assert finished.code == 2
    assert "vertex knows names such as NVIDIA_TESLA_T4, not 'nvidia.com/gpu'" in finished.error
    assert not list(tmp_path.iterdir())


def test_vertex_takes_the_file(command: Callable[..., Finished], tmp_path: Path) -> None:
    """Vertex's own client reads the file and its parameters; nothing is sent."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    file = tmp_path / "pipeline.yaml"
    command("compile", "configs/digits.yaml", "--target", "vertex", "-o", file)
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
