"""Which runners have their remote workers, and what such workers need."""

from pathlib import Path
from typing import Any

import pytest

from darkroom.beam.options import remote_runner, runner_name, worker_message
from darkroom.beam.remote import remote_workers, with_staging_location
from darkroom.errors import SettingsError

IMAGE = "--sdk_container_image=registry.example/darkroom-ingest-worker:1"
FLINK = ["--runner", "FlinkRunner", "--flink_master", "flink:8081"]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--runner=DirectRunner", "--direct_num_workers=2"],
        ["--runner", "apache_beam.runners.portability.fn_api_runner.FnApiRunner"],
        ["--runner=BundleBasedDirectRunner"],
        ["--runner=FlinkRunner"],
        ["--runner=FlinkRunner", "--flink_master=[local]"],
        ["--runner=SparkRunner", "--spark_master_url=local[4]"],
        [*FLINK, "--environment_type=LOOPBACK"],
    ],
)
def test_workers_here(options: list[str]) -> None:
    assert remote_runner(options) is None
    assert with_staging_location(Path("/gcs/bucket/run/examples"), options) == tuple(options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--runner=DataflowRunner", IMAGE],
        ["--runner=apache_beam.runners.dataflow.dataflow_runner.DataflowRunner", IMAGE],
        FLINK,
        ["--runner=FlinkRunner", "--environment_type=EXTERNAL"],
        ["--runner=SparkRunner", "--spark_master_url=spark://spark:7077"],
        ["--runner=PortableRunner", "--job_endpoint=jobs:8099"],
    ],
)
def test_remote_workers_share_a_folder_beside_the_artifact_in_a_bucket(
    options: list[str],
) -> None:
    settled = with_staging_location(Path("/gcs/bucket/run/examples"), options)
    workers = remote_workers(settled)
    assert workers is not None
    assert workers.staging_location == "gs://bucket/run"
    assert "--temp_location=gs://bucket/run" in workers.arguments


@pytest.mark.slow
def test_a_staging_location_that_is_named_goes_before_the_artifacts() -> None:
    options = [*FLINK, "--temp_location", "/mnt/shared/"]
    workers = remote_workers(with_staging_location(Path("/gcs/bucket/run/examples"), options))
    assert workers is not None
    assert workers.staging_location == "/mnt/shared"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FLINK, "FlinkRunner: its workers do not reach the folders of this machine"),
        (
            ["--runner=DataflowRunner", IMAGE, "--temp_location=/mnt/shared"],
            "DataflowRunner: --temp_location=/mnt/shared is in no bucket",
        ),
        (
            ["--runner=DataflowRunner", "--temp_location=gs://bucket/tmp"],
            "DataflowRunner: its workers need the step's code.*--sdk_container_image=IMAGE",
        ),
    ],
)
def test_what_would_fail_on_a_cluster_is_refused_here(options: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=f"^{message}"):
        with_staging_location(Path("/data/run/examples"), options)


def test_a_worker_that_was_killed_is_one_line() -> None:
    from distributed.scheduler import KilledWorker

    worker: Any = None
    killed = "a worker was killed, as one is that runs out of memory; run the step again"
    assert worker_message(RuntimeError("Channel closed prematurely.")) == killed
    assert worker_message(KilledWorker("task", worker, 3)) == killed
    assert worker_message(RuntimeError("something else")) is None


@pytest.mark.parametrize(
    ("given", "runner"),
    [
        ("dask", "DaskRunner"),
        ("daskrunner", "DaskRunner"),
        ("Flinkrunner", "FlinkRunner"),
        ("DIRECT", "DirectRunner"),
        ("apache_beam.runners.dask.dask_runner.DaskRunner", "DaskRunner"),
    ],
)
def test_a_runner_has_a_short_name(given: str, runner: str) -> None:
    assert runner_name([f"--runner={given}"]) == runner
    assert runner_name(["--runner", given]) == runner


def test_a_misspelt_runner_is_one_line() -> None:
    with pytest.raises(SettingsError, match="unknown runner 'DaskRuner'; did you mean 'DaskRunner"):
        remote_runner(["--runner=DaskRuner"])


def test_a_scheduler_behind_a_tunnel_has_its_workers_elsewhere() -> None:
    local = ["--runner=dask", "--dask_client_address=tcp://localhost:8786"]
    assert remote_runner(local) is None
    assert remote_runner([*local, "--temp_location=gs://bucket/tmp"]) == "DaskRunner"
