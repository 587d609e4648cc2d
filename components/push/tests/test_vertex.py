"""Pushes to Vertex, against a server whose messages are those of the library's protos."""

import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from components.push.push import push
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.vertex import api
from components.push.targets.vertex.target import VertexTarget
from components.push.tests.conftest import Candidate, save_model
from components.push.tests.vertex_operations import NUMBERED, PROJECT
from components.push.tests.vertex_server import VertexServer
from darkroom.artifacts.manifest import folder_digest
from darkroom.artifacts.model import Model, read_model
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.tests.cloud_storage import fake_cloud_storage
from darkroom.tests.google_account import Keys, account_file, made_keys

pytestmark = pytest.mark.slow

RECORD = {
    "evaluation": {
        "digest": "e" * 64,
        "count": 20,
        "metrics": {"accuracy": 0.9, "log_loss": 0.25, "auc": 0.97, "kappa": None},
    },
    "provenance": {"run": "run-7"},
}
DENIED, EXHAUSTED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(scope="module")
def tls_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """The stand-in's TLS key, whose certificate gRPC trusts for as long as the tests run."""
    keys = made_keys()
    roots = tmp_path_factory.mktemp("tls") / "roots.pem"
    roots.write_bytes(keys.certificate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(roots))
        yield keys


@pytest.fixture(scope="module")
def account_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """The key of the account that calls."""
    keys = made_keys()
    file = tmp_path_factory.mktemp("account") / "account.json"
    file.write_text(account_file(keys, PROJECT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        yield keys


@pytest.fixture(scope="module", autouse=True)
def bucket() -> Iterator[None]:
    """`gs://bucket`, which takes requests without a token."""
    import fsspec

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "gcs", {"token": "anon"})
        with fake_cloud_storage():
            yield


@pytest.fixture
def server(
    tls_keys: Keys, account_keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> Iterator[VertexServer]:
    monkeypatch.setattr(api, "_FIRST_POLL", 0.01)
    monkeypatch.setattr(api, "PATIENCE_SECONDS", 10.0)
    server = VertexServer(*tls_keys, account_keys.certificate)
    yield server
    server.stop()


@pytest.fixture
def destination(server: VertexServer, request: pytest.FixtureRequest) -> str:
    """A destination at the stand-in, whose storage is empty."""
    folder = re.sub(r"\W+", "-", request.node.name).strip("-")
    return (
        f"vertex://{PROJECT}/europe-west4/flowers?storage=gs://bucket/{folder}"
        f"&machine=n1-standard-2&replicas=1-3&host={server.endpoint}"
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    folder = tmp_path_factory.mktemp("models")
    for number in range(3):
        save_model(folder / f"{number}", sharpness=1.0 + number)
    return [read_model(folder / f"{number}") for number in range(3)]


def version_ids(server: VertexServer) -> list[str]:
    return [version.version_id for version in server.registry.versions.values()]


def test_a_first_push_is_registered_deployed_and_evaluated(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    target = target_for(destination)
    assert isinstance(target, VertexTarget)
    assert (target.current(), target.traffic()) == (None, {})
    published = target.publish(models[0], RECORD, traffic=10)
    assert (published.number, published.digest) == (1, models[0].manifest["digest"])
    assert target.current() == published
    assert target.traffic() == {1: 100}  # nothing else serves yet

    version = server.registry.version_at("v1")
    assert version is server.registry.version_at("default")
    assert version.display_name == "flowers"
    assert version.labels["darkroom_digest"] == models[0].manifest["digest"][:63]
    assert version.version_description == "run run-7"
    image = "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
    assert version.container_spec.image_uri == image
    explained = version.explanation_spec
    assert explained.parameters.xrai_attribution.step_count == 32
    assert explained.metadata.inputs["image"].input_tensor_name == "image_bytes"
    copied = server.registry.files[f"{NUMBERED}/models/flowers@1"]
    assert {"saved_model.pb", "manifest.json"} <= {name.rpartition("/")[2] for name in copied}

    (evaluation,) = server.registry.evaluations[f"{NUMBERED}/models/flowers@1"]
    assert evaluation.metrics["logLoss"] == 0.25
    (at_any,) = evaluation.metrics["confidenceMetrics"]
    assert (at_any["recallAt1"], at_any["confidenceThreshold"]) == (0.9, 0.0)
    assert dict(evaluation.metadata["metrics"]) == {"accuracy": 0.9, "log_loss": 0.25, "auc": 0.97}

    (deployed,) = server.endpoints.only.deployed_models
    assert server.endpoints.only.display_name == "flowers"
    resources = deployed.dedicated_resources
    assert resources.machine_spec.machine_type == "n1-standard-2"
    assert (resources.min_replica_count, resources.max_replica_count) == (1, 3)
    assert server.endpoints.split() == {"1": 100}


def test_a_canary_is_promoted_and_rolled_back(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    target = target_for(destination)
    target.publish(models[0], RECORD)
    published = target.publish(models[1], RECORD, traffic=10)
    assert target.canary() == published
    assert target.traffic() == {1: 90, 2: 10}
    assert server.registry.version_at("canary").version_id == "2"
    assert server.registry.version_at("default").version_id == "1"
    assert target.promote(traffic=50).action == "traffic"
    assert server.endpoints.split() == {"1": 50, "2": 50}
    assert target.promote().serving == 2
    assert server.endpoints.split() == {"2": 100}  # the other one is undeployed
    assert server.registry.version_at("default").version_id == "2"
    assert server.registry.version_at("canary") is None
    # The one before is deployed again before it gets the requests.
    entry = target.rollback(reason="odd answers")
    assert (entry.serving, entry.rolled_back) == (1, [2])
    assert server.endpoints.split() == {"1": 100}
    assert target.rollback(to=2).serving == 2
    assert target.traffic() == {2: 100}
    target.publish(models[2], RECORD, traffic=5)
    assert target.rollback().rolled_back == [3]
    assert (target.traffic(), version_ids(server)) == ({2: 100}, ["1", "2", "3"])
    assert server.endpoints.splits == [
        *({"1": 100}, {"1": 90, "2": 10}, {"1": 50, "2": 50}, {"2": 100}),
        *({"1": 100}, {"2": 100}, {"2": 95, "3": 5}, {"2": 100}),
    ]
    with pytest.raises(StepError, match="has no canary to promote"):
        target.promote()
    assert [entry.action for entry in target.log()] == [
        *("push", "canary", "traffic", "promote", "rollback", "rollback", "canary", "rollback")
    ]


def test_a_repeated_push_changes_nothing(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    for traffic in (100, 10):
        model = models[0 if traffic == 100 else 1]
        first = target_for(destination).publish(model, RECORD, traffic)
        before = server.calls.copy()
        assert target_for(destination).publish(model, RECORD, traffic) == first
        asked = {name for name in server.calls - before if not name.startswith(("List", "Get"))}
        assert asked == set()


def test_only_the_registry(server: VertexServer, destination: str, models: list[Model]) -> None:
    target = target_for(f"{destination}&only=registry")
    target.publish(models[0], RECORD)
    target.publish(models[1], RECORD, traffic=10)
    assert target.traffic() == {1: 90, 2: 10}
    target.promote()
    assert server.registry.version_at("default").version_id == "2"
    assert target.rollback().serving == 1
    assert server.registry.version_at("default").version_id == "1"
    assert server.endpoints.endpoints == {}
    assert not any("Endpoint" in method or "Deploy" in method for method in server.calls)


def test_pruning_removes_versions_from_the_registry_too(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    target = target_for(destination)
    for model in models:
        target.publish(model, RECORD)
    assert target.prune(keep=2) == [1]
    assert version_ids(server) == ["2", "3"]
    assert target.prune(keep=1) == [2]
    assert target.prune(keep=1) == []
    assert (version_ids(server), target.traffic()) == (["3"], {3: 100})


def test_a_model_of_that_name_gets_another_version(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    server.registry.add("777", "flowers")
    target = target_for(destination)
    target.publish(models[0], RECORD)
    assert server.registry.version_at("default").labels
    assert list(server.registry.versions) == [
        f"{NUMBERED}/models/777@1",
        f"{NUMBERED}/models/777@2",
    ]
    target.publish(models[1], RECORD)
    target.prune(keep=1)
    assert version_ids(server) == ["1", "3"]  # what others made stays
    server.registry.add("888", "flowers")
    with pytest.raises(StepError, match=r"2 models of .* have the name flowers \(777, 888\)"):
        target.publish(models[2], RECORD)


def test_a_model_without_the_signatures_is_not_explained(
    server: VertexServer, destination: str, tmp_path: Path
) -> None:
    save_model(tmp_path / "model", without="xai_model")
    target_for(destination).publish(read_model(tmp_path / "model"), {})
    version = server.registry.version_at("v1")
    assert "explanation_spec" not in version
    assert server.registry.evaluations == {}  # nor has it metrics


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
    server: VertexServer, destination: str, models: list[Model], case: str
) -> None:
    target = target_for(destination)
    target.publish(models[0], RECORD)
    method, code, message, expected = REFUSALS[case]
    server.refuse(method, code, message)
    with pytest.raises(StepError, match=expected) as refused:
        target.publish(models[1], RECORD)
    assert "\n" not in str(refused.value)
    current = target.current()
    assert current is not None
    assert (current.number, target.traffic()) == (1, {1: 100})
    target.publish(models[1], RECORD)  # which completes it
    assert server.endpoints.split() == {"2": 100}
    assert version_ids(server) == ["1", "2"]


def test_a_quota_that_is_used_up_is_named(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    target = target_for(destination)
    target.publish(models[0], RECORD)
    server.endpoints.machines = 1
    message = (
        r"quota aiplatform\.googleapis\.com/custom_model_serving_cpus of my-project in "
        r"europe-west4 is used up: .*; undeploy what .* or ask for more at https://.*=my-project$"
    )
    with pytest.raises(StepError, match=message):
        target.publish(models[1], RECORD)
    assert server.calls["DeployModel"] == 2  # no point in asking again
    assert target.traffic() == {1: 100}
    server.refuse("ListModels", EXHAUSTED, "Quota exceeded for requests per minute.", times=2)
    server.endpoints.machines = 2
    target.publish(models[1], RECORD)  # that one is waited for
    assert len(target.traffic()) == 1


@pytest.mark.parametrize("lost", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "method", ["UploadModel", "CreateEndpoint", "DeployModel", "UpdateEndpoint", "GetOperation"]
)
def test_a_lost_connection_is_made_again(
    server: VertexServer, destination: str, models: list[Model], method: str, lost: bool
) -> None:
    """Cut off before the call is done, or after it, so that the answer is lost."""
    server.cut_off(method, lost=lost)
    target = target_for(destination)
    target.publish(models[0], RECORD)
    assert (target.traffic(), version_ids(server)) == ({1: 100}, ["1"])
    (deployed,) = server.endpoints.only.deployed_models
    assert deployed.model_version_id == "1"
    assert len(server.registry.evaluations) == 1


def test_of_changes_at_once_none_is_overwritten(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    target = target_for(destination)
    server.refuse("UpdateEndpoint", grpc.StatusCode.ABORTED, "The etag does not match.", times=2)
    target.publish(models[0], RECORD)
    assert target.traffic() == {1: 100}
    assert all(request.endpoint.etag for request in server.asked("UpdateEndpoint"))
    failures: list[BaseException] = []

    def one(model: Model) -> None:
        try:
            target_for(destination).publish(model, RECORD)
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
    assert len(server.endpoints.only.deployed_models) == 1
    assert version_ids(server) == ["1", "2", "3"]


@pytest.mark.parametrize("method", ["UploadModel", "CreateEndpoint", "DeployModel"])
def test_what_fails_at_vertex_is_shown(
    server: VertexServer, destination: str, models: list[Model], method: str
) -> None:
    server.operations.failures[method] = ("INTERNAL", "Model server terminated: exit code 137.")
    with pytest.raises(StepError, match=r"failed: .*Model server terminated: exit code 137;"):
        target_for(destination).publish(models[0], RECORD)
    target = target_for(destination)
    assert target.current() is None
    target.publish(models[0], RECORD)
    assert list(target.traffic().values()) == [100]
    assert version_ids(server) == ["1"]


def test_what_never_ends_is_waited_for_so_long(
    server: VertexServer, destination: str, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "OPERATION_SECONDS", 0.3)
    server.operations.endless = True
    with pytest.raises(StepError, match=r"upload of version 1 .* within 0 minutes; it goes on at"):
        target_for(destination).publish(models[0], RECORD)
    server.operations.endless = False
    monkeypatch.setattr(api, "OPERATION_SECONDS", 60.0)
    target_for(destination).publish(models[0], RECORD)
    assert server.calls["UploadModel"] == 1  # the first one was waited for


@pytest.mark.parametrize(
    ("command", "method"),
    [
        *(("push", method) for method in ("UploadModel", "ImportModelEvaluation")),
        *(("push", method) for method in ("CreateEndpoint", "DeployModel", "UpdateEndpoint")),
        *(("rollback", method) for method in ("DeployModel", "UpdateEndpoint", "UndeployModel")),
    ],
)
def test_a_killed_command_is_completed_by_the_same_one(
    server: VertexServer,
    destination: str,
    models: list[Model],
    command: str,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed once Vertex has got the request: what it began there goes on."""
    target = target_for(destination)
    if command == "rollback":
        for model in models:
            target.publish(model, RECORD)
    run = {
        "push": lambda: target_for(destination).publish(models[0], RECORD).number,
        "rollback": lambda: target_for(destination).rollback().serving,
    }[command]
    with killed(server, method, monkeypatch), pytest.raises(KeyboardInterrupt):
        run()
    number = run()
    if command == "rollback":
        assert number == 2
        assert [entry.action for entry in target.log()] == ["push", "push", "push", "rollback"]
    assert target.traffic() == {number: 100}
    assert len(server.endpoints.only.deployed_models) == 1
    assert len(version_ids(server)) == (1 if command == "push" else 3)
    assert server.calls["DeployModel"] == (1 if command == "push" else 4)
    assert server.registry.version_at("default") is server.registry.version_at(f"v{number}")


@contextlib.contextmanager
def killed(server: VertexServer, method: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kills the command once it has asked a method."""
    call = api.Api.call

    def cut(self: Any, work: Callable[[], Any]) -> Any:
        before = server.calls[method]
        answer = call(self, work)
        if server.calls[method] > before:
            raise KeyboardInterrupt
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(api.Api, "call", cut)
        yield


def test_through_the_step(
    server: VertexServer,
    destination: str,
    candidate: Candidate,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = PushSettings(destination=destination, keep=3)
    with caplog.at_level(logging.INFO, "darkroom.push"):
        inputs = (candidate.examples, candidate.model, candidate.evaluation)
        location = push(*inputs, settings, pushed=tmp_path / "pushed")
    assert location == "gs://bucket/test_through_the_step/1"
    assert "the deployment of version 1 takes Vertex some minutes" in caplog.messages
    target = target_for(destination)
    current = target.current()
    assert current is not None
    target.fetch(current, tmp_path / "fetched")
    assert folder_digest(tmp_path / "fetched") == folder_digest(candidate.model)


def test_without_a_bucket_there_is_one_line(server: VertexServer, models: list[Model]) -> None:
    target = target_for(
        f"vertex://{PROJECT}/europe-west4/flowers?storage=gs://absent/served&host={server.endpoint}"
    )
    with pytest.raises(StepError, match="gs://absent/served") as refused:
        target.publish(models[0], RECORD)
    assert "\n" not in str(refused.value)
    assert server.registry.versions == {}


def test_an_unknown_accelerator_is_refused_before_anything(
    server: VertexServer, destination: str, models: list[Model]
) -> None:
    target = target_for(f"{destination}&accelerator=NVIDIA_TESLA_T5")
    with pytest.raises(SettingsError, match="did you mean 'NVIDIA_TESLA_T4'"):
        target.publish(models[0], RECORD)
    folder = destination.partition("storage=gs://")[2].partition("&")[0]
    assert files.list_level(f"gs://{folder}") == ([], [])


def test_where_nobody_answers_is_named(
    server: VertexServer, destination: str, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "PATIENCE_SECONDS", 1.0)
    elsewhere = destination.replace(server.endpoint, "localhost:1")
    message = r"does not answer at localhost:1: .*; check the network and the location europe-west4"
    with pytest.raises(StepError, match=message):
        target_for(elsewhere).publish(models[0], RECORD)


def test_without_credentials_the_login_is_named(
    server: VertexServer,
    destination: str,
    models: list[Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "account.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(StepError, match="gcloud auth application-default login"):
        target_for(destination).publish(models[0], RECORD)
    file.write_text(account_file(made_keys(), PROJECT))
    with pytest.raises(StepError, match="expired or not taken .* application-default login"):
        target_for(destination).publish(models[0], RECORD)
