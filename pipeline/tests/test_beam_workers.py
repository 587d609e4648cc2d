"""What a compiled pipeline tells Beam's runners on a cluster."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.ingest.settings import IngestSettings
from components.transform.settings import TransformSettings
from pipeline.compiler import compile_pipeline, with_workers
from pipeline.config import Config, config_model
from pipeline.targets import cluster_target

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VERTEX = {"project": "my-project", "location": "europe-west1"}


def config(options: list[str], **cluster: Any) -> Config:
    step = {"beam_options": options}
    values = {"name": "digits", "data": "gs://b/d", "ingest": step, "transform": step}
    return config_model().model_validate(
        values | {"cluster": {"registry": "reg.example/d"} | cluster}
    )


def test_compiled_dataflow_workers_run_the_components_own_image(tmp_path: Path) -> None:
    given = config(["--runner", "DataflowRunner", "--max_num_workers=8"], vertex=VERTEX)
    compile_pipeline(given, cluster_target("vertex"), tmp_path / "pipeline.yaml")
    document = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    parameters = document["root"]["inputDefinitions"]["parameters"]
    for step in ("ingest", "transform"):
        assert parameters[step]["defaultValue"]["beam_options"] == [
            "--runner",
            "DataflowRunner",
            "--max_num_workers=8",
            f"--sdk_container_image=reg.example/d/darkroom-{step}-worker:0.1.0",
            "--project=my-project",
            "--region=europe-west1",
        ]


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ([], []),
        (["--runner=DirectRunner"], []),
        (["--runner=FlinkRunner"], []),  # starts a Flink here
        (["--runner=DataflowRunner", "--sdk_container_image=mine", "--region=r"], []),
        (["--runner=FlinkRunner", "--flink_master=f:1", "--environment_type=EXTERNAL"], []),
        (
            ["--runner=SparkRunner", "--spark_master_url=spark://s:7077"],
            ["--environment_config=reg.example/d/darkroom-ingest-worker:0.1.0"],
        ),
    ],
)
def test_only_what_a_runner_elsewhere_lacks_is_added(options: list[str], added: list[str]) -> None:
    assert with_workers(config(options)).section(IngestSettings).beam_options == (*options, *added)


def test_a_worker_image_may_be_named_whole() -> None:
    given = config(["--runner=DataflowRunner"], images={"ingest-worker": "reg.example/w@sha256:1"})
    assert (
        "--sdk_container_image=reg.example/w@sha256:1"
        in with_workers(given).section(IngestSettings).beam_options
    )


def test_the_worker_images_start_the_beam_that_is_locked() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (locked,) = (p["version"] for p in lock["package"] if p["name"] == "apache-beam")
    dockerfile = (ROOT / "docker" / "worker.Dockerfile").read_text()
    assert re.findall(r"^FROM apache/beam_python3\.11_sdk:(\S+)", dockerfile, re.M) == [locked]


@pytest.mark.parametrize("runner", ["Flink", "Spark"])
def test_beam_takes_the_image_for_workers_of_a_cluster_and_none_for_its_own(runner: str) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.flink_runner import FlinkRunner
    from apache_beam.runners.portability.spark_runner import SparkRunner
    from apache_beam.transforms.environments import DockerEnvironment

    made = {"Flink": FlinkRunner, "Spark": SparkRunner}[runner]()
    master = {"Flink": "--flink_master=f:8081", "Spark": "--spark_master_url=spark://s:7077"}
    settled = with_workers(config([f"--runner={runner}Runner", master[runner]]))
    elsewhere = made.default_environment(
        PipelineOptions(list(settled.section(TransformSettings).beam_options))
    )
    assert isinstance(elsewhere, DockerEnvironment)
    assert elsewhere.container_image == "reg.example/d/darkroom-transform-worker:0.1.0"
    here = made.default_environment(PipelineOptions([f"--runner={runner}Runner"]))
    assert "Loopback" in type(here).__name__
