"""Batch prediction by Vertex, against a server whose messages are those of the library's protos."""

from collections.abc import Sequence

import grpc
import pytest

from components.push.targets import predicting_target, target_for
from components.push.targets.vertex import batch_prediction
from components.push.targets.vertex.target import VertexTarget
from components.push.tests.vertex_server import VertexServer
from darkroom.artifacts.model import Model
from darkroom.errors import SettingsError, StepError
from darkroom.storage.files import delete, file_system, list_files, read_bytes

pytestmark = pytest.mark.slow

PHOTOGRAPHS = [f"gs://bucket/in/{number}.jpg" for number in range(3)]
_CREATE = "/google.cloud.aiplatform.v1.JobService/CreateBatchPredictionJob"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_prediction, "_FIRST_POLL", 0.01)


def write(location: str, content: bytes) -> None:
    system, path = file_system(location)
    system.pipe_file(path, content)


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
    assert results == f"gs://bucket/out/prediction-{job.display_name}-1"
    assert job.model.endswith("/models/flowers@2")
    (source,) = job.input_config.gcs_source.uris
    assert read_bytes(source).decode().splitlines() == PHOTOGRAPHS
    assert job.dedicated_resources.machine_spec.machine_type == "n1-standard-2"
    assert job.dedicated_resources.max_replica_count == 3


def test_what_is_done_is_taken_as_long_as_nothing_has_changed(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    folder = "gs://bucket/changing"
    files = [f"{folder}/{number}.jpg" for number in range(30)]
    for file in files:
        write(file, b"photograph")
    target = target_of(vertex)
    target.publish(models[0], traffic=100)

    def predicted(photographs: Sequence[str] = files, *, overwrite: bool = False) -> str:
        return target.predict(photographs, "gs://bucket/done", overwrite)

    first = predicted()
    assert predicted() == first
    found = [first]

    def assert_anew(results: str) -> None:
        assert results not in found
        found.append(results)
        assert len(vertex_server.jobs.jobs) == len(found)

    assert_anew(predicted(overwrite=True))
    assert_anew(predicted(files[:2]))
    # Another photograph in the place of one, in a folder that is listed, and one by one.
    write(files[0], b"another photograph")
    assert_anew(predicted())
    assert_anew(predicted(files[:2]))
    # Results that were removed are not there to be taken.
    delete([file.location for file in list_files(f"{found[-1]}/*")])
    assert_anew(predicted(files[:2]))
    # Another version.
    target.publish(models[1], traffic=100)
    assert_anew(predicted())


def test_what_vertex_cannot_read_or_write_is_one_line(vertex: str) -> None:
    target = target_of(vertex)
    for photographs, out, message in (
        (PHOTOGRAPHS, "", "^Vertex writes to a bucket: say which"),
        (PHOTOGRAPHS, "predicted", "^Vertex writes to a bucket: say which"),
        ([*PHOTOGRAPHS, "a.jpg"], "gs://bucket/out", r"^Vertex reads photographs .* not a\.jpg$"),
        ([], "gs://bucket/out", "^there is no photograph to predict$"),
    ):
        with pytest.raises(SettingsError, match=message):
            target.predict(photographs, out)


def test_a_job_that_fails_is_one_line_and_may_be_begun_again(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_of(vertex)
    target.publish(models[0], traffic=100)
    vertex_server.jobs.failure = "The service account may not read the bucket."
    with pytest.raises(StepError, match=r"/1 failed: The service account may not read"):
        target.predict(PHOTOGRAPHS, "gs://bucket/failed")
    assert target.predict(PHOTOGRAPHS, "gs://bucket/failed").startswith("gs://bucket/failed/")


def test_only_a_target_that_predicts_is_found(vertex: str) -> None:
    assert isinstance(predicting_target(vertex), VertexTarget)
    for destination in ("served/flowers", "gs://bucket/served", "http://host/v1/models/flowers"):
        assert predicting_target(destination) is None
