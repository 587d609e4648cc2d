"""Batch prediction by Vertex, against a server whose messages are those of the library's protos."""

import grpc
import pytest

from components.push.targets import target_for
from components.push.targets.vertex import batch_prediction
from components.push.targets.vertex.target import VertexTarget
from components.push.tests.vertex_server import VertexServer
from darkroom.artifacts.model import Model
from darkroom.errors import StepError
from darkroom.storage.files import read_bytes

pytestmark = pytest.mark.slow

PHOTOGRAPHS = [f"gs://bucket/in/{number}.jpg" for number in range(3)]
_CREATE = "/google.cloud.aiplatform.v1.JobService/CreateBatchPredictionJob"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_prediction, "_FIRST_POLL", 0.01)


def target_of(destination: str) -> VertexTarget:
    target = target_for(destination)
    assert isinstance(target, VertexTarget)
    return target


def test_the_version_that_serves_is_asked_and_a_lost_answer_starts_no_second_job(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_of(vertex)
    with pytest.raises(StepError, match=r"^no version serves at vertex://.*: push one$"):
        target.predict(PHOTOGRAPHS, "gs://bucket/out")
    for model in models[:2]:
        target.publish(model, traffic=100)
    vertex_server.refuse(_CREATE, grpc.StatusCode.UNAVAILABLE, "the connection is lost", lost=True)
    results = target.predict(PHOTOGRAPHS, "gs://bucket/out")
    (job,) = vertex_server.jobs.jobs.values()
    assert results == f"gs://bucket/out/prediction-{job.display_name}"
    assert job.model.endswith("/models/flowers@2")
    (source,) = job.input_config.gcs_source.uris
    assert read_bytes(source).decode().splitlines() == PHOTOGRAPHS
    assert job.dedicated_resources.machine_spec.machine_type == "n1-standard-2"
    assert job.dedicated_resources.max_replica_count == 3
    # The same again is done already; other photographs are another job.
    assert target.predict(PHOTOGRAPHS, "gs://bucket/out") == results
    assert len(vertex_server.jobs.jobs) == 1
    target.predict(PHOTOGRAPHS[:2], "gs://bucket/out")
    assert len(vertex_server.jobs.jobs) == 2


def test_a_job_that_fails_is_one_line_and_may_be_begun_again(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_of(vertex)
    target.publish(models[0], traffic=100)
    vertex_server.jobs.failure = "The service account may not read the bucket."
    with pytest.raises(StepError, match=r"/1 failed: The service account may not read"):
        target.predict(PHOTOGRAPHS, "gs://bucket/failed")
    assert target.predict(PHOTOGRAPHS, "gs://bucket/failed").startswith("gs://bucket/failed/")
