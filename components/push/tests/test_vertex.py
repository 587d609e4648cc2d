"""Pushes to Vertex, against a server whose messages are those of the library's protos."""

import logging
from pathlib import Path

import pytest

from components.push.push import push
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.vertex.target import VertexTarget
from components.push.tests.conftest import Candidate, save_model
from components.push.tests.racing_targets import ROUNDS, race
from components.push.tests.vertex_operations import NUMBERED
from components.push.tests.vertex_server import VertexServer
from darkroom.artifacts.manifest import folder_digest
from darkroom.artifacts.model import Model, read_model
from darkroom.errors import StepError

pytestmark = pytest.mark.slow


def version_ids(vertex_server: VertexServer) -> list[str]:
    return [version.version_id for version in vertex_server.registry.versions.values()]


def test_a_first_push_is_registered_deployed_and_evaluated(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_for(vertex)
    assert isinstance(target, VertexTarget)
    assert (target.current(), target.traffic()) == (None, {})
    published = target.publish(models[0], traffic=10)
    assert (published.number, published.digest) == (1, models[0].manifest["digest"])
    assert target.current() == published
    assert target.traffic() == {1: 100}  # nothing else serves yet

    version = vertex_server.registry.version_at("v1")
    assert version is vertex_server.registry.version_at("default")
    assert version.display_name == "flowers"
    assert version.labels["darkroom_digest"] == models[0].manifest["digest"][:63]
    assert version.version_description == "run run-7"
    image = "europe-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-15:latest"
    assert version.container_spec.image_uri == image
    explained = version.explanation_spec
    assert explained.parameters.xrai_attribution.step_count == 32
    assert explained.metadata.inputs["image"].input_tensor_name == "image_bytes"
    copied = vertex_server.registry.files[f"{NUMBERED}/models/flowers@1"]
    assert {"saved_model.pb", "manifest.json"} <= {name.rpartition("/")[2] for name in copied}

    (evaluation,) = vertex_server.registry.evaluations[f"{NUMBERED}/models/flowers@1"]
    assert evaluation.metrics["logLoss"] == 0.25
    (at_any,) = evaluation.metrics["confidenceMetrics"]
    assert (at_any["recallAt1"], at_any["confidenceThreshold"]) == (0.9, 0.0)
    assert dict(evaluation.metadata["metrics"]) == {"accuracy": 0.9, "log_loss": 0.25, "auc": 0.97}

    (deployed,) = vertex_server.endpoints.only.deployed_models
    assert vertex_server.endpoints.only.display_name == "flowers"
    resources = deployed.dedicated_resources
    assert resources.machine_spec.machine_type == "n1-standard-2"
    assert (resources.min_replica_count, resources.max_replica_count) == (1, 3)
    assert vertex_server.endpoints.split() == {"1": 100}


def test_a_canary_is_promoted_and_rolled_back(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_for(vertex)
    target.publish(models[0])
    published = target.publish(models[1], traffic=10)
    assert target.canary() == published
    assert target.traffic() == {1: 90, 2: 10}
    assert vertex_server.registry.version_at("canary").version_id == "2"
    assert vertex_server.registry.version_at("default").version_id == "1"
    assert target.promote(traffic=50).action == "traffic"
    assert vertex_server.endpoints.split() == {"1": 50, "2": 50}
    assert target.promote().serving == 2
    assert vertex_server.endpoints.split() == {"2": 100}  # the other one is undeployed
    assert vertex_server.registry.version_at("default").version_id == "2"
    assert vertex_server.registry.version_at("canary") is None
    # The one before is deployed again before it gets the requests.
    entry = target.rollback(reason="odd answers")
    assert (entry.serving, entry.rolled_back) == (1, [2])
    assert vertex_server.endpoints.split() == {"1": 100}
    assert target.rollback(to=2).serving == 2
    assert target.traffic() == {2: 100}
    target.publish(models[2], traffic=5)
    assert target.rollback().rolled_back == [3]
    assert (target.traffic(), version_ids(vertex_server)) == ({2: 100}, ["1", "2", "3"])
    assert vertex_server.endpoints.splits == [
        *({"1": 100}, {"1": 90, "2": 10}, {"1": 50, "2": 50}, {"2": 100}),
        *({"1": 100}, {"2": 100}, {"2": 95, "3": 5}, {"2": 100}),
    ]
    with pytest.raises(StepError, match="has no canary to promote"):
        target.promote()
    assert [entry.action for entry in target.log()] == [
        *("push", "canary", "traffic", "promote", "rollback", "rollback", "canary", "rollback")
    ]


def test_a_repeated_push_changes_nothing(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    for traffic in (100, 10):
        model = models[0 if traffic == 100 else 1]
        first = target_for(vertex).publish(model, traffic)
        before = vertex_server.calls.copy()
        assert target_for(vertex).publish(model, traffic) == first
        asked = {
            name for name in vertex_server.calls - before if not name.startswith(("List", "Get"))
        }
        assert asked == set()


def test_only_the_registry(vertex_server: VertexServer, vertex: str, models: list[Model]) -> None:
    target = target_for(f"{vertex}&only=registry")
    target.publish(models[0])
    target.publish(models[1], traffic=10)
    assert target.traffic() == {1: 90, 2: 10}
    target.promote()
    assert vertex_server.registry.version_at("default").version_id == "2"
    assert target.rollback().serving == 1
    assert vertex_server.registry.version_at("default").version_id == "1"
    assert vertex_server.endpoints.endpoints == {}
    assert not any("Endpoint" in method or "Deploy" in method for method in vertex_server.calls)


def test_pruning_removes_versions_from_the_registry_too(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_for(vertex)
    for model in models:
        target.publish(model)
    assert target.prune(keep=2) == [1]
    assert version_ids(vertex_server) == ["2", "3"]
    assert target.prune(keep=1) == [2]
    assert target.prune(keep=1) == []
    assert (version_ids(vertex_server), target.traffic()) == (["3"], {3: 100})


def test_a_model_of_that_name_gets_another_version(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    vertex_server.registry.add("777", "flowers")
    target = target_for(vertex)
    target.publish(models[0])
    assert vertex_server.registry.version_at("default").labels
    assert list(vertex_server.registry.versions) == [
        f"{NUMBERED}/models/777@1",
        f"{NUMBERED}/models/777@2",
    ]
    target.publish(models[1])
    target.prune(keep=1)
    assert version_ids(vertex_server) == ["1", "3"]  # what others made stays
    vertex_server.registry.add("888", "flowers")
    with pytest.raises(StepError, match=r"2 models of .* have the name flowers \(777, 888\)"):
        target.publish(models[2])


def test_what_others_deployed_stays_without_requests(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    vertex_server.registry.add("777", "trees")
    vertex_server.endpoints.add("42", "flowers", f"{NUMBERED}/models/777")
    target = target_for(vertex)
    target.publish(models[0])
    assert list(vertex_server.endpoints.endpoints) == [f"{NUMBERED}/endpoints/42"]
    assert target.traffic() == {1: 100}
    shares = [
        (each.model.rpartition("/")[2], vertex_server.endpoints.only.traffic_split.get(each.id, 0))
        for each in vertex_server.endpoints.only.deployed_models
    ]
    assert shares == [("777", 0), ("flowers", 100)]


def test_a_rollback_that_cannot_be_deployed_can_be_taken_back(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    target = target_for(vertex)
    target.publish(models[0])
    target.publish(models[1])
    vertex_server.endpoints.machines = 1
    message = r"by the log of gs://.* version 1 serves, but Vertex is not there yet: .*quota"
    for _ in range(2):
        with pytest.raises(StepError, match=message):
            target.rollback()
        assert target.traffic() == {2: 100}
    assert target.rollback(to=2).serving == 2
    assert [entry.action for entry in target.log()] == ["push", "push", "rollback", "rollback"]
    assert target.traffic() == {2: 100}


def test_a_model_without_the_signatures_is_not_explained(
    vertex_server: VertexServer, vertex: str, tmp_path: Path
) -> None:
    save_model(tmp_path / "model", without="xai_model")
    target_for(vertex).publish(read_model(tmp_path / "model"))
    version = vertex_server.registry.version_at("v1")
    assert "explanation_spec" not in version
    assert vertex_server.registry.evaluations == {}  # nor has it metrics


def test_through_the_step(
    vertex_server: VertexServer,
    vertex: str,
    candidate: Candidate,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = PushSettings(destination=vertex, keep=3)
    with caplog.at_level(logging.INFO, "darkroom.push"):
        location = push(*candidate.inputs, settings, pushed=tmp_path / "pushed")
    assert location == "gs://bucket/test_through_the_step/1"
    assert "the deployment of version 1 takes Vertex some minutes" in caplog.messages
    target = target_for(vertex)
    current = target.current()
    assert current is not None
    target.fetch(current, tmp_path / "fetched")
    assert folder_digest(tmp_path / "fetched") == folder_digest(candidate.model)


def test_pushes_at_once_are_each_whole_or_refused(
    vertex_server: VertexServer, vertex: str, models: list[Model]
) -> None:
    for _ in range(ROUNDS):
        race(vertex, models)
        current = target_for(vertex).current()
        assert current is not None
        assert current.digest is not None
        # By its files: a model that is pushed again is registered once.
        registered = vertex_server.registry.version_at("default")
        assert registered.labels["darkroom_digest"] == current.digest[:63]
