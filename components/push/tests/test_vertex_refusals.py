"""What Vertex refuses, loses or does not finish: one line, and the next command completes it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from components.push.targets import target_for
from components.push.targets.vertex import api
from components.push.tests.test_vertex import version_ids
from components.push.tests.vertex_operations import PROJECT
from components.push.tests.vertex_server import VertexServer
from darkroom.artifacts.model import Model
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.tests.google_account import account_file, made_keys

pytestmark = pytest.mark.slow

DENIED, EXHAUSTED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED

REFUSALS = {
    "deploy": (
        "DeployModel",
        DENIED,
        "Permission 'aiplatform.endpoints.deploy' denied on resource '//aiplatform.googleapis.com/"
        "projects/my-project/locations/europe-west4/endpoints/flowers' (or it may not exist).",
        "the permission aiplatform.endpoints.deploy is missing, which is in roles/aiplatform.user "
        "on the project my-project$",
    ),
    "bucket": (
        "UploadModel",
        DENIED,
        "service-123@gcp-sa-aiplatform.iam.gserviceaccount.com does not have storage.objects.get "
        "access to the Google Cloud Storage object.",
        "roles/storage.objectUser on the bucket of gs://bucket/.*, for "
        "service-123@gcp-sa-aiplatform.iam.gserviceaccount.com$",
    ),
    "no bucket": (
        "UploadModel",
        grpc.StatusCode.INVALID_ARGUMENT,
        "The Cloud Storage bucket gs://bucket does not exist.",
        "make the bucket of gs://bucket/.*, in europe-west4$",
    ),
    "project": (
        "ListEndpoints",
        DENIED,
        "Permission denied on resource project my-project.",
        "check the project my-project in vertex://my-project/europe-west4/flowers",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_names_the_fix_and_leaves_what_serves(
    vertex_server: VertexServer, vertex: str, models: list[Model], case: str
) -> None:
    target = target_for(vertex)
    target.publish(models[0])
    method, code, message, expected = REFUSALS[case]
    vertex_server.refuse(method, code, message)
    with pytest.raises(StepError, match=expected) as refused:
        target.publish(models[1])
    assert "\n" not in str(refused.value)
    current = target.current()
    assert current is not None
    assert (current.number, target.traffic()) == (1, {1: 100})
    target.publish(models[1])  # which completes it
    assert vertex_server.endpoints.split() == {"2": 100}
    assert version_ids(vertex_server) == ["1", "2"]


def test_a_quota_that_is_used_up_is_named(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_for(vertex)
    target.publish(models[0])
    vertex_server.endpoints.machines = 1
    message = (
        r"quota aiplatform\.googleapis\.com/custom_model_serving_cpus of my-project in "
        r"europe-west4 is used up: .*; undeploy what .* or ask for more at https://.*=my-project$"
    )
    with pytest.raises(StepError, match=message):
        target.publish(models[1])
    assert vertex_server.calls["DeployModel"] == 2  # no point in asking again
    assert target.traffic() == {1: 100}
    vertex_server.refuse(
        "ListModels", EXHAUSTED, "Quota exceeded for requests per minute.", times=2
    )
    vertex_server.endpoints.machines = 2
    target.publish(models[1])  # that one is waited for
    assert len(target.traffic()) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "method", ["UploadModel", "CreateEndpoint", "DeployModel", "UpdateEndpoint", "GetOperation"]
)
def test_a_lost_connection_is_made_again(
    vertex_server: VertexServer, vertex: str, models: list[Model], method: str, lost: bool
) -> None:
    """Cut off before the call is done, or after it, so that the answer is lost."""
    vertex_server.cut_off(method, lost=lost)
    target = target_for(vertex)
    target.publish(models[0])
    assert (target.traffic(), version_ids(vertex_server)) == ({1: 100}, ["1"])
    (deployed,) = vertex_server.endpoints.only.deployed_models
    assert deployed.model_version_id == "1"
    assert len(vertex_server.registry.evaluations) == 1


def test_of_changes_at_once_none_is_overwritten(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_for(vertex)
    vertex_server.refuse(
        "UpdateEndpoint", grpc.StatusCode.ABORTED, "The etag does not match.", times=2
    )
    target.publish(models[0])
    assert target.traffic() == {1: 100}
    assert all(request.endpoint.etag for request in vertex_server.asked("UpdateEndpoint"))
    failures: list[BaseException] = []

    def one(model: Model) -> None:
        try:
            target_for(vertex).publish(model)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(model,)) for model in models[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    current = target.current()
    assert current is not None
    assert target.traffic() == {current.number: 100} == {3: 100}
    assert len(vertex_server.endpoints.only.deployed_models) == 1
    assert version_ids(vertex_server) == ["1", "2", "3"]


@pytest.mark.parametrize("method", ["UploadModel", "CreateEndpoint", "DeployModel"])
def test_what_fails_at_vertex_is_shown(
    vertex_server: VertexServer, vertex: str, models: list[Model], method: str
) -> None:
    vertex_server.operations.failures[method] = (
        "INTERNAL",
        "Model server terminated: exit code 137.",
    )
    with pytest.raises(StepError, match=r"failed: .*Model server terminated: exit code 137;"):
        target_for(vertex).publish(models[0])
    target = target_for(vertex)
    assert target.current() is None
    target.publish(models[0])
    assert list(target.traffic().values()) == [100]
    assert version_ids(vertex_server) == ["1"]


def test_what_never_ends_is_waited_for_so_long(
    vertex_server: VertexServer, vertex: str, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "OPERATION_SECONDS", 0.3)
    vertex_server.operations.endless = True
    with pytest.raises(StepError, match=r"upload of version 1 .* within 0 minutes; it goes on at"):
        target_for(vertex).publish(models[0])
    vertex_server.operations.endless = False
    monkeypatch.setattr(api, "OPERATION_SECONDS", 60.0)
    target_for(vertex).publish(models[0])
    assert vertex_server.calls["UploadModel"] == 1  # the first one was waited for


@pytest.mark.parametrize(
    ("command", "method"),
    [
        *(("push", method) for method in ("UploadModel", "ImportModelEvaluation")),
        *(("push", method) for method in ("CreateEndpoint", "DeployModel", "UpdateEndpoint")),
        *(("rollback", method) for method in ("DeployModel", "UpdateEndpoint", "UndeployModel")),
    ],
)
def test_a_killed_command_is_completed_by_the_same_one(
    vertex_server: VertexServer,
    vertex: str,
    models: list[Model],
    command: str,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed once Vertex has got the request: what it began there goes on."""
    target = target_for(vertex)
    if command == "rollback":
        for model in models:
            target.publish(model)
    run = {
        "push": lambda: target_for(vertex).publish(models[0]).number,
        "rollback": lambda: target_for(vertex).rollback().serving,
    }[command]
    with killed(vertex_server, method, monkeypatch), pytest.raises(KeyboardInterrupt):
        run()
    number = run()
    if command == "rollback":
        assert number == 2
        assert [entry.action for entry in target.log()] == ["push", "push", "push", "rollback"]
    assert target.traffic() == {number: 100}
    assert len(vertex_server.endpoints.only.deployed_models) == 1
    assert len(version_ids(vertex_server)) == (1 if command == "push" else 3)
    assert vertex_server.calls["UploadModel"] == (1 if command == "push" else 3)
    assert vertex_server.calls["DeployModel"] == (1 if command == "push" else 4)
    assert vertex_server.registry.version_at("default") is vertex_server.registry.version_at(
        f"v{number}"
    )


@contextlib.contextmanager
def killed(
    vertex_server: VertexServer, method: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Kills the command once it has asked a method."""
    call = api.Api.call

    def cut(self: Any, work: Callable[[], Any]) -> Any:
        before = vertex_server.calls[method]
        answer = call(self, work)
        if vertex_server.calls[method] > before:
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(api.Api, "call", cut)
        yield


def test_without_a_bucket_there_is_one_line(
    vertex_server: VertexServer, models: list[Model]
) -> None:
    target = target_for(
        f"vertex://{PROJECT}/europe-west4/flowers?storage=gs://absent/served"
        f"&host={vertex_server.endpoint}"
    )
    with pytest.raises(StepError, match="gs://absent/served") as refused:
        target.publish(models[0])
    assert "\n" not in str(refused.value)
    assert vertex_server.registry.versions == {}


def test_an_unknown_accelerator_is_refused_before_anything(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_for(f"{vertex}&accelerator=NVIDIA_TESLA_T5")
    with pytest.raises(SettingsError, match="did you mean 'NVIDIA_TESLA_T4'"):
        target.publish(models[0])
    folder = vertex.partition("storage=gs://")[2].partition("&")[0]
    assert files.list_level(f"gs://{folder}") == ([], [])


def test_where_nobody_answers_is_named(
    vertex_server: VertexServer, vertex: str, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "PATIENCE_SECONDS", 1.0)
    elsewhere = vertex.replace(vertex_server.endpoint, "localhost:1")
    message = r"does not answer at localhost:1: .*; check the network and the location europe-west4"
    with pytest.raises(StepError, match=message):
        target_for(elsewhere).publish(models[0])


def test_without_credentials_the_login_is_named(
    vertex_server: VertexServer,
    vertex: str,
    models: list[Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "account.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(StepError, match="gcloud auth application-default login"):
        target_for(vertex).publish(models[0])
    file.write_text(account_file(made_keys(), PROJECT))
    with pytest.raises(StepError, match=r"expired or not taken .* application-default login"):
        target_for(vertex).publish(models[0])
