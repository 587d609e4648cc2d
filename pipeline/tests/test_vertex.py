"""Runs on Vertex, against a stand-in made of the library's own protos, over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import yaml

from darkroom.errors import SettingsError, StepError
from pipeline.settings.cluster import VertexSettings
from pipeline.target import Run
from pipeline.targets.vertex.client import Vertex

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import PipelineJob

    from pipeline.tests.vertex_server import VertexServer

GOLDEN = Path(__file__).parents[2] / "tests" / "golden"
PACKAGE = GOLDEN / "digits.vertex.yaml"


def submitted(vertex: Vertex, caching: bool = True) -> Run:
    return vertex.submit(PACKAGE, "digits", {"data": "gs://my-bucket/photographs"}, caching)


def job_of(server: VertexServer, run: Run) -> PipelineJob:
    from pipeline.tests.vertex_checks import PARENT

    return server.jobs[f"{PARENT}/pipelineJobs/{run.id}"]


def caching_of(job: PipelineJob) -> dict[str, bool]:
    from google.cloud.aiplatform_v1.types import PipelineJob
    from google.protobuf import json_format

    pipeline = json_format.MessageToDict(PipelineJob.pb(job).pipeline_spec)
    dags = [pipeline["root"], *pipeline["components"].values()]
    return {
        name: task["cachingOptions"].get("enableCache", False)
        for dag in dags
        for name, task in dag.get("dag", {}).get("tasks", {}).items()
        if "cachingOptions" in task
    }


def test_a_run_is_what_the_package_and_the_settings_say(
    vertex: Vertex, vertex_server: VertexServer, vertex_settings: VertexSettings
) -> None:
    from google.cloud.aiplatform_v1.types import PipelineJob
    from google.protobuf import json_format

    from pipeline.tests.vertex_checks import ACCOUNT

    run = submitted(vertex)

    job = job_of(vertex_server, run)
    sent = json_format.MessageToDict(PipelineJob.pb(job).pipeline_spec)
    assert sent == yaml.safe_load(PACKAGE.read_text(encoding="utf-8"))
    assert job.runtime_config.gcs_output_directory == "gs://my-bucket/darkroom"
    assert dict(job.runtime_config.parameter_values) == {"data": "gs://my-bucket/photographs"}
    assert job.service_account == ACCOUNT
    assert job.network == vertex_settings.network
    assert job.encryption_spec.kms_key_name == vertex_settings.encryption_key
    assert job.labels["team"] == "vision"
    assert (run.name, run.state, run.finished) == ("digits", "pending", None)
    assert run.address.endswith(
        f"/vertex-ai/locations/europe-west4/pipelines/runs/{run.id}?project=my-project"
    )
    assert run.id.startswith("digits-")
    assert submitted(vertex).id != run.id


def test_the_cache_is_as_compiled_or_off(vertex: Vertex, vertex_server: VertexServer) -> None:
    compiled = caching_of(job_of(vertex_server, submitted(vertex)))
    assert compiled["train"]
    assert not compiled["push"], "a push is never taken from a cache"

    off = caching_of(job_of(vertex_server, submitted(vertex, caching=False)))
    assert compiled.keys() <= off.keys()
    assert not any(off.values())


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED], ids=str
)
def test_a_lost_answer_starts_no_second_run(
    vertex: Vertex, vertex_server: VertexServer, code: grpc.StatusCode
) -> None:
    from pipeline.tests.vertex_checks import PARENT

    vertex_server.refuse("CreatePipelineJob", code, "The answer is lost.", lost=True)

    run = submitted(vertex)

    assert vertex_server.calls["CreatePipelineJob"] == 2
    assert [*vertex_server.jobs] == [f"{PARENT}/pipelineJobs/{run.id}"]


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED], ids=str
)
def test_a_busy_server_is_asked_again(
    vertex: Vertex, vertex_server: VertexServer, code: grpc.StatusCode
) -> None:
    vertex_server.refuse("CreatePipelineJob", code, "Try again.", times=2)

    assert submitted(vertex).state == "pending"

    assert vertex_server.calls["CreatePipelineJob"] == 3


def test_a_parameter_that_the_pipeline_does_not_have(
    vertex: Vertex, vertex_server: VertexServer
) -> None:
    with pytest.raises(SettingsError, match="no parameter 'dat'; did you mean 'data'") as raised:
        vertex.submit(PACKAGE, "digits", {"dat": "gs://my-bucket/photographs"}, caching=True)
    assert raised.value.exit_code == 2
    assert not vertex_server.calls


def test_a_package_for_kubeflow_is_refused(vertex: Vertex, tmp_path: Path) -> None:
    package = tmp_path / "two.yaml"
    package.write_text(f"{PACKAGE.read_text(encoding='utf-8')}---\nplatforms: {{}}\n")

    with pytest.raises(SettingsError, match="compile it with --target vertex"):
        vertex.submit(package, "digits", {}, caching=True)


def test_a_run_has_the_steps_that_vertex_knows(vertex: Vertex, vertex_server: VertexServer) -> None:
    run = submitted(vertex)
    tasks = {"ingest": "SKIPPED", "transform": "SUCCEEDED", "train": "RUNNING"}
    vertex_server.advance(run.id, "RUNNING", tasks)

    now = vertex.run(run.id)

    assert now.state == "running"
    assert {step.name: step.state for step in now.steps} == {
        "ingest": "cached",
        "transform": "succeeded",
        "train": "running",
    }
    assert [step.name for step in now.steps] == [*tasks], "in their order"
    assert now.steps[1].started is not None
    assert now.steps[1].started.tzinfo is not None


def test_an_unblessed_model_is_pushed_by_no_one(
    vertex: Vertex, vertex_server: VertexServer
) -> None:
    run = submitted(vertex)
    tasks = {"evaluate": "SUCCEEDED", "condition-1": "NOT_TRIGGERED", "push": "NOT_TRIGGERED"}
    vertex_server.advance(run.id, "SUCCEEDED", tasks)

    now = vertex.run(run.id)

    assert now.state == "succeeded"
    assert now.finished is not None
    assert [(step.name, step.state) for step in now.steps] == [
        ("evaluate", "succeeded"),
        ("push", "skipped"),
    ]


def test_a_failure_says_what_to_do(vertex: Vertex, vertex_server: VertexServer) -> None:
    from pipeline.tests.vertex_checks import ACCOUNT

    run = submitted(vertex)
    refused = (
        f"Service account `{ACCOUNT}` does not have `[storage.objects.get, "
        'storage.objects.create]` IAM permission(s) to the bucket \\"my-bucket\\".\nGrant them.'
    )
    vertex_server.advance(run.id, "FAILED", {"ingest": "FAILED"}, error=refused)

    now = vertex.run(run.id)

    assert now.error == now.steps[0].error
    assert now.steps[0].state == now.state == "failed"
    assert "\n" not in now.error
    assert now.error.endswith(
        f"roles/storage.objectUser on the bucket gs://my-bucket, for {ACCOUNT}"
    )


def test_the_last_runs_of_a_pipeline(
    vertex: Vertex, vertex_server: VertexServer, tmp_path: Path
) -> None:
    other = tmp_path / "flowers.yaml"
    pipeline: dict[str, Any] = yaml.safe_load(PACKAGE.read_text(encoding="utf-8"))
    pipeline["pipelineInfo"]["name"] = "flowers"
    other.write_text(yaml.safe_dump(pipeline))
    started = [submitted(vertex).id for _ in range(4)]
    vertex.submit(other, "flowers", {}, caching=True)
    vertex_server.advance(started[-1], "FAILED", error="It broke.")

    runs = vertex.runs("digits", 3)

    assert [run.id for run in runs] == started[:0:-1]
    assert (runs[0].state, runs[0].error, runs[0].steps) == ("failed", "It broke", ())
    assert [run.name for run in vertex.runs("flowers", 3)] == ["flowers"]


def test_a_run_that_is_not_there(vertex: Vertex) -> None:
    for call in (vertex.run, vertex.cancel, vertex.retry):
        with pytest.raises(StepError, match="no run digits-7 in project my-project, europe-west4"):
            call("digits-7")


def test_cancel_waits_for_the_end(vertex: Vertex, vertex_server: VertexServer) -> None:
    from google.cloud.aiplatform_v1.types import PipelineState

    run = submitted(vertex)
    vertex_server.refuse(
        "CancelPipelineJob", grpc.StatusCode.UNAVAILABLE, "The answer is lost.", lost=True
    )

    vertex.cancel(run.id)

    assert job_of(vertex_server, run).state == PipelineState.PIPELINE_STATE_CANCELLED
    with pytest.raises(StepError, match="has ended already: it is cancelled"):
        vertex.cancel(run.id)


def test_retry_keeps_what_succeeded(vertex: Vertex, vertex_server: VertexServer) -> None:
    from google.cloud.aiplatform_v1.types import PipelineJob

    run = submitted(vertex)
    with pytest.raises(StepError, match="is pending: only a failed or cancelled one is retried"):
        vertex.retry(run.id)
    vertex_server.advance(run.id, "FAILED", {"ingest": "SUCCEEDED", "train": "FAILED"})
    vertex_server.refuse(
        "CreatePipelineJob", grpc.StatusCode.UNAVAILABLE, "The answer is lost.", lost=True
    )

    again = vertex.retry(run.id)

    labels = vertex_server.asked("CreatePipelineJob")[-1].pipeline_job.labels
    assert {*labels} == {"team", "darkroom"}, "Vertex's own are not sent back"
    first, second = job_of(vertex_server, run), job_of(vertex_server, again)
    for field in ("pipeline_spec", "runtime_config", "service_account", "network"):
        assert getattr(PipelineJob.pb(first), field) == getattr(PipelineJob.pb(second), field)
    assert caching_of(second)["ingest"]
    assert second.labels["team"] == "vision"
    assert (again.id, again.state) == (f"{run.id}-retry1", "pending")
    assert vertex.retry(run.id).id == again.id, "asked twice, started once"

    vertex_server.advance(again.id, "FAILED")
    assert vertex.retry(run.id).id == f"{run.id}-retry2"
    assert vertex.retry(again.id).id == f"{run.id}-retry2"
    assert len(vertex_server.jobs) == 3


def test_without_the_cache_nothing_can_be_kept(vertex: Vertex, vertex_server: VertexServer) -> None:
    run = submitted(vertex, caching=False)
    vertex_server.advance(run.id, "FAILED")

    with pytest.raises(StepError, match="started without the cache"):
        vertex.retry(run.id)


def test_the_log_is_in_cloud_logging(vertex: Vertex, vertex_server: VertexServer) -> None:
    run = submitted(vertex)
    vertex_server.advance(run.id, "RUNNING", {"ingest": "SKIPPED", "transform": "RUNNING"})

    (line,) = vertex.log_tail(run.id, "transform", 10)

    assert "https://console.cloud.google.com/logs/query;query=resource.type%3D%22ml_job%22" in line
    assert "job_id%3D%22772%22?project=my-project" in line
    assert vertex.log_tail(run.id, "ingest", 10) == ["ingest has no log: it has run on no machine"]
