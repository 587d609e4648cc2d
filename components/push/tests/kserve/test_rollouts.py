"""The KServe target's rollouts, against a Kubernetes API with KServe behind it, and a bucket."""

import concurrent.futures
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from components.push import staging
from components.push.targets import target_for
from components.push.targets.target import PushTarget
from components.push.tests.kserve.cluster import FakeCluster
from components.push.tests.kserve.controller import number_of
from components.push.tests.kserve.schema import validator
from components.push.tests.racing_targets import ROUNDS, race
from darkroom.artifacts.model import Model
from darkroom.artifacts.model_repository import listed
from darkroom.errors import StepError
from darkroom.storage import files

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[4] / "deploy" / "kserve"


def test_a_version_goes_from_canary_to_serving_and_back(
    target: PushTarget, cluster: FakeCluster, storage: str, models: Callable[[int], Model]
) -> None:
    """At no moment does a version get requests that it must not, and no pod lacks its folder."""
    first = target.publish(models(1), traffic=10)
    assert (first.number, target.traffic()) == (1, {1: 100})  # nothing else serves yet
    assert str(first.digest).startswith(copies(storage)[0].removeprefix("1-"))
    assert cluster.predictor["model"] == {
        "modelFormat": {"name": "tensorflow"},
        "storageUri": f"{storage}/kserve/{copies(storage)[0]}",
    }
    assert target.publish(models(2), traffic=10).number == 2
    assert target.traffic() == {1: 90, 2: 10}
    assert target.promote(traffic=50).action == "traffic"
    cluster.restart_pods()
    entry = target.promote(reason="as good")
    assert (entry.action, entry.serving, target.traffic()) == ("promote", 2, {2: 100})
    cluster.restart_pods()
    target.publish(models(3), traffic=5)
    assert target.rollback().rolled_back == [3]  # the canary
    cluster.restart_pods()
    assert target.rollback(reason="odd answers").serving == 1
    cluster.restart_pods()
    assert target.rollback(to=3).serving == 3
    target.publish(models(4))
    cluster.settle()
    cluster.restart_pods()
    assert cluster.shares == [
        *({1: 100}, {1: 90, 2: 10}, {1: 50, 2: 50}, {2: 100}),
        *({2: 95, 3: 5}, {2: 100}, {1: 100}, {3: 100}, {4: 100}),
    ]
    actions = ["push", "canary", "traffic", "promote", "canary", *3 * ["rollback"], "push"]
    assert [entry.action for entry in target.log()] == actions
    current = target.current()
    assert current is not None
    assert (current.number, current.digest) == (4, models_digest(target, 4))
    assert [version.number for version in target.rolled_back()] == [2]


def copies(storage: str) -> list[str]:
    return listed(f"{storage}/kserve")[0]


def models_digest(target: PushTarget, number: int) -> str | None:
    return next(entry.digest for entry in target.log() if entry.version == number)


def test_a_canary_beside_a_canary_and_a_version_that_comes_back(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    for number in (1, 2):
        target.publish(models(number))
    target.rollback()  # 1 serves
    for number, share in ((3, 10), (4, 20)):
        target.publish(models(number), traffic=share)
    assert target.traffic() == {1: 80, 4: 20}
    target.publish(models(5))  # in place of the canary
    target.publish(models(6), traffic=30)
    assert target.rollback(to=2).serving == 2
    cluster.settle()
    cluster.restart_pods()
    assert cluster.shares[-1] == {2: 100}
    for moment in cluster.shares:
        canaries = {number: share for number, share in moment.items() if number in (3, 4, 6)}
        assert sum(canaries.values()) <= 30


def test_a_repeated_push_changes_nothing(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    model = models(1)
    target.publish(model)
    assert cluster.service is not None
    generation = cluster.service["metadata"]["generation"]
    assert target.publish(model).number == 1
    assert cluster.service["metadata"]["generation"] == generation
    assert len(target.log()) == 1
    cluster.service, cluster.owners, cluster.revisions = None, {}, []
    cluster.deployments, cluster.rolled_out = {}, None
    assert target.publish(model).number == 1  # and what somebody deleted comes back
    assert number_of(cluster.predictor["model"]["storageUri"]) == 1


def test_pruning_keeps_what_pods_read(
    target: PushTarget, cluster: FakeCluster, storage: str, models: Callable[[int], Model]
) -> None:
    for number in (1, 2, 3):
        target.publish(models(number))
    target.publish(models(4), traffic=10)
    assert target.prune(2) == [1, 2]
    cluster.restart_pods()
    assert [name[:2] for name in copies(storage)] == ["3-", "4-"]
    target.promote()
    assert target.prune(1) == [3]
    assert [name[:2] for name in copies(storage)] == ["4-"]


def test_what_others_set_stays(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    target.publish(models(1))
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    theirs: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "flowers", "namespace": "vision"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "tensorflow"}}}},
    }
    theirs["spec"]["predictor"] |= {"minReplicas": 2}
    theirs["spec"]["predictor"]["model"]["resources"] = resources
    cluster.apply("argocd", theirs)
    for number, share in ((2, 10), (3, 100)):
        target.publish(models(number), traffic=share)
    target.rollback()
    assert cluster.predictor["minReplicas"] == 2
    assert cluster.predictor["model"]["resources"] == resources


def test_a_version_that_is_never_ready_is_taken_back(
    target: PushTarget,
    cluster: FakeCluster,
    storage: str,
    models: Callable[[int], Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target.publish(models(1))
    cluster.never_ready = {2, 3}
    second = models(2)
    with pytest.raises(StepError) as caught:
        target.publish(second)
    message = str(caught.value)
    assert message.startswith("InferenceService vision/flowers is not ready after 1 s: ")
    if cluster.mode == "Knative":
        assert "PredictorReady RevisionFailed 0 of 1 pods are ready; Ready" in message
    assert message.endswith(
        "pod flowers-predictor-x: FailedScheduling 0/3 nodes are available; pod flowers-predictor"
        "-x: BackOff back-off restarting container (what served before still does)"
    )
    assert "\n" not in message
    assert number_of(cluster.predictor["model"]["storageUri"]) == 1
    with pytest.raises(StepError, match="not ready after 1 s"):
        target.publish(models(3), traffic=10)
    cluster.settle()
    assert cluster.shares == [{1: 100}]
    cluster.restart_pods()
    assert [version.number for version in target.versions()] == [1]
    assert (len(target.log()), list(target.rolled_back())) == (1, [])
    cluster.never_ready = set()
    monkeypatch.setattr(staging, "_LONGEST_COPY", -1.0)  # what failed pushes left is old
    fourth = target.publish(models(4))
    assert fourth.number == 2  # the number was never logged
    uri = cluster.predictor["model"]["storageUri"]
    assert files.read_bytes(f"{uri}/2/saved_model.pb") == b"graph 4"
    assert target.publish(second).number == 3  # nobody has rolled it back: it may come again
    cluster.restart_pods()


def test_a_first_version_that_is_never_ready_leaves_nothing(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    cluster.never_ready = {1}
    with pytest.raises(StepError, match=r"\(it is deleted again\)$"):
        target.publish(models(1))
    assert cluster.service is None
    assert target.current() is None


def test_a_rollback_to_what_is_not_ready_changes_nothing(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    for number in (1, 2):
        target.publish(models(number))
    cluster.never_ready = {1}
    with pytest.raises(StepError, match="not ready after 1 s"):
        target.rollback()
    current = target.current()
    assert current is not None
    assert current.number == 2
    assert cluster.shares[-1] == {2: 100}
    assert number_of(cluster.predictor["model"]["storageUri"]) == 2


@pytest.mark.parametrize("mode", ["Knative"])
def test_another_command_at_the_same_time_is_noticed(
    target: PushTarget, cluster: FakeCluster, storage: str, models: Callable[[int], Model]
) -> None:
    target.publish(models(1))
    cluster.never_ready = {2}
    place = f"kserve://vision/flowers?storage={storage}&timeout=60"
    slow, quick = target_for(place), target_for(place)
    second, third = models(2), models(3)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        push = pool.submit(slow.publish, second)
        while number_of(cluster.predictor["model"]["storageUri"]) == 1:
            time.sleep(0.01)
        quick.publish(third)
        with pytest.raises(StepError, match=r"another command has changed .* meanwhile: try aga"):
            push.result()
    current = target.current()
    assert current is not None
    assert number_of(cluster.predictor["model"]["storageUri"]) == current.number == 3


def test_a_runtime_of_ones_own(
    cluster: FakeCluster, storage: str, models: Callable[[int], Model], mode: str
) -> None:
    target = target_for(f"kserve://vision/flowers?storage={storage}&runtime=darkroom&timeout=5")
    target.publish(models(1))
    target.publish(models(2), traffic=10)
    assert cluster.service is not None
    assert cluster.predictor["model"]["runtime"] == "darkroom"
    if mode == "Standard":
        canary = cluster.service["spec"]["canary"][0]["predictor"]
        assert canary["model"]["runtime"] == "darkroom"


def test_the_role_allows_what_a_push_asks(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    cluster.never_ready = {1}
    with pytest.raises(StepError):
        target.publish(models(1))
    cluster.never_ready = set()
    for number in (2, 3):
        target.publish(models(number), traffic=10)
    role, _ = yaml.safe_load_all((DEPLOY / "push.yaml").read_text())
    allowed = {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    for method, path in cluster.requests:
        if "/namespaces/vision/" in path:
            resource, _, name = path.partition("/namespaces/vision/")[2].partition("/")
            verbs = {"GET": ["get" if name else "list"], "PATCH": ["create", "patch"]}
            for verb in verbs.get(method, [method.lower()]):
                assert (resource, verb) in allowed


def test_the_serve_images_runtime_is_by_the_schema() -> None:
    document = yaml.safe_load((DEPLOY / "runtime.yaml").read_text())
    check = validator("V1alpha1ServingRuntime").validate
    check(document)
    document["spec"]["container"] = []
    with pytest.raises(jsonschema.ValidationError, match="'container' was unexpected"):
        check(document)


@pytest.mark.parametrize("mode", ["Knative"])
def test_pushes_at_once_are_each_whole_or_refused(
    target: PushTarget, cluster: FakeCluster, storage: str, models: Callable[[int], Model]
) -> None:
    place = f"kserve://vision/flowers?storage={storage}&timeout=20"
    for number in range(0, 3 * ROUNDS, 3):
        race(place, [models(number + each) for each in range(3)])
        current = target.current()
        assert current is not None
        assert number_of(cluster.predictor["model"]["storageUri"]) == current.number
        cluster.restart_pods()
