"""The KServe target against a Kubernetes API with KServe behind it, and a bucket's API."""

import concurrent.futures
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import tenacity
import yaml

from components.push import staging
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.kserve import rollout
from components.push.targets.kserve.cluster import Cluster
from components.push.targets.target import PushTarget
from components.push.tests.kserve_cluster import SERVICE, FakeCluster, number_of, running
from components.push.tests.kserve_schema import schema
from components.push.tests.test_targets import make_model
from darkroom.artifacts.model import Model
from darkroom.artifacts.model_repository import listed
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings
from darkroom.storage import files
from darkroom.tests.cloud_storage import fake_cloud_storage

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[3] / "deploy" / "kserve"
NOT_INSTALLED = "404 page not found\n"


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with fake_cloud_storage():
        yield "gs://bucket"


@pytest.fixture
def storage(bucket: str, request: pytest.FixtureRequest) -> str:
    return f"{bucket}/{request.node.name.replace('[', '-').rstrip(']')}"


@pytest.fixture(params=["Knative", "Standard"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cluster(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    monkeypatch.setattr(rollout, "_POLL", 0.01)
    monkeypatch.setattr(Cluster._ask.retry, "wait", tenacity.wait_none())  # type: ignore[attr-defined]
    with running(FakeCluster(mode)) as fake:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path, fake.address)))
        yield fake


@pytest.fixture
def target(cluster: FakeCluster, storage: str) -> PushTarget:
    return target_for(f"kserve://vision/flowers?storage={storage}&timeout=1")


@pytest.fixture
def models(tmp_path: Path) -> Callable[[int], Model]:
    return lambda number: make_model(tmp_path / f"model-{number}", f"graph {number}")


def write_kubeconfig(folder: Path, address: str) -> Path:
    file = folder / "kubeconfig"
    entry = {"name": "here"}
    content = {
        "clusters": [entry | {"cluster": {"server": address}}],
        "users": [entry | {"user": {"token": "secret"}}],
        "contexts": [entry | {"context": {"cluster": "here", "user": "here"}}],
        "current-context": "here",
    }
    file.write_text(yaml.safe_dump(content))
    return file


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


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_connection_cut_in_the_middle(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model], method: str
) -> None:
    """The answer is lost after the change was made: it is asked for again."""
    target.publish(models(1))
    cluster.cuts = [method, method]
    target.publish(models(2), traffic=10)
    assert target.traffic() == {1: 90, 2: 10}
    cluster.cuts = 20 * ["PATCH"]
    with pytest.raises(StepError, match=r"API does not answer: .*could not be changed back"):
        target.promote()
    assert target.traffic() == {1: 90, 2: 10}
    cluster.cuts = []
    assert target.promote().serving == 2
    assert cluster.shares[-1] == {2: 100}


def test_a_busy_api_is_asked_again(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    busy = {"kind": "Status", "message": "etcd is not there"}
    cluster.refusals[("PATCH", "")] = (503, busy)
    with pytest.raises(StepError, match="the Kubernetes API does not answer: etcd is not there"):
        target.publish(models(1))
    assert cluster.requests.count(("PATCH", SERVICE)) == 5


@pytest.mark.parametrize("mode", ["Knative"])
@pytest.mark.parametrize(
    ("method", "code", "document", "message"),
    [
        (
            *("PATCH", 401, {"message": "Unauthorized"}),
            r"does not accept the credentials \(Unauthorized\): log in again, or set KUBECONFIG",
        ),
        (
            *("PATCH", 403, {"message": 'User "bot" cannot create resource "inferenceservices"'}),
            'User "bot" cannot create resource "inferenceservices": a Role of namespace vision '
            r"must allow the verb create on inferenceservices \(see deploy/kserve/push\.yaml\)$",
        ),
        (
            *("GET", 403, {"message": 'User "bot" cannot get resource'}),
            "must allow the verb get on inferenceservices",
        ),
        (
            *("PATCH", 403, {"message": 'admission webhook "x" denied the request: too many'}),
            'to patch inferenceservices: admission webhook "x" denied the request: too many',
        ),
        ("GET", 404, NOT_INSTALLED, "the cluster has no InferenceServices: install KServe"),
        (
            *("PATCH", 404, {"reason": "NotFound", "message": 'namespaces "vision" not found'}),
            "there is no namespace vision in the cluster: create it",
        ),
        (
            *("PATCH", 422, {"message": 'InferenceService "flowers" is invalid: spec.x'}),
            'patch inferenceservices: InferenceService "flowers" is invalid: spec.x',
        ),
    ],
)
def test_refusals_are_one_line(
    target: PushTarget,
    cluster: FakeCluster,
    models: Callable[[int], Model],
    method: str,
    code: int,
    document: Any,
    message: str,
) -> None:
    cluster.refusals[(method, "inferenceservices")] = (code, document)
    with pytest.raises(StepError, match=message) as caught:
        target.publish(models(1))
    assert "\n" not in str(caught.value)
    assert cluster.requests.count(("PATCH", SERVICE)) == (method == "PATCH")
    assert ("DELETE", SERVICE) not in cluster.requests
    assert (cluster.service, target.current()) == (None, None)


def test_a_field_that_somebody_else_sets_is_named(
    target: PushTarget, cluster: FakeCluster, storage: str, models: Callable[[int], Model]
) -> None:
    theirs_uri = f"{storage}/kserve/9-000000000000"
    theirs = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "flowers", "namespace": "vision"},
        "spec": {
            "predictor": {
                "model": {"modelFormat": {"name": "tensorflow"}, "storageUri": theirs_uri}
            }
        },
    }
    cluster.apply("kubectl-client-side-apply", theirs)
    with pytest.raises(StepError) as caught:
        target.publish(models(1))
    assert str(caught.value) == (
        ".spec.predictor.model.storageUri of the InferenceService is set by "
        "kubectl-client-side-apply: take it out of what kubectl-client-side-apply applies, and "
        "try again"
    )
    assert cluster.predictor["model"]["storageUri"] == theirs_uri


@pytest.mark.parametrize("mode", ["Knative"])
def test_shares_that_somebody_else_sets_are_named(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    first = models(1)
    target.publish(first)
    predictor = {"model": {"modelFormat": {"name": "tensorflow"}}, "canaryTrafficPercent": 40}
    theirs = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "flowers", "namespace": "vision"},
        "spec": {"predictor": predictor},
    }
    cluster.apply("argocd", theirs)
    with pytest.raises(StepError, match=r"the shares of .* are set by argocd: take canaryTraffic"):
        target.publish(first)
    with pytest.raises(
        StepError, match=r"canaryTrafficPercent of the .* is set by argocd: take it"
    ):
        target.publish(models(2))
    assert number_of(cluster.predictor["model"]["storageUri"]) == 1
    current = target.current()
    assert current is not None
    assert current.number == 1


@pytest.mark.parametrize("mode", ["Standard"])
def test_an_earlier_kserve_has_no_canary_of_a_raw_deployment(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    cluster.knows_canaries = False
    target.publish(models(1))
    with pytest.raises(StepError, match=r"knows no canary of one \(spec\.canary, from 0\.20 on\)"):
        target.publish(models(2), traffic=10)
    assert target.traffic() == {1: 100}
    target.publish(models(3))
    assert cluster.shares == [{1: 100}, {2: 100}]


@pytest.mark.parametrize("mode", ["Standard"])
def test_a_missing_permission_to_look_at_deployments(
    target: PushTarget, cluster: FakeCluster, models: Callable[[int], Model]
) -> None:
    target.publish(models(1))
    cluster.refusals[("GET", "deployments")] = (403, {"message": "forbidden"})
    with pytest.raises(StepError, match=r"the verb get on deployments \(see .*what served bef"):
        target.publish(models(2))
    assert number_of(cluster.predictor["model"]["storageUri"]) == 1


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
    jsonschema.validate(document, schema("V1alpha1ServingRuntime"))
    document["spec"]["container"] = []
    with pytest.raises(jsonschema.ValidationError, match="'container' was unexpected"):
        jsonschema.validate(document, schema("V1alpha1ServingRuntime"))


def test_without_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    text = r"no Kubernetes cluster to push to \(.*\): set KUBECONFIG to the file of one, or run "
    monkeypatch.setenv("HOME", str(tmp_path))
    for file in (None, tmp_path / "none", write_broken(tmp_path)):
        with contextlib.ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            if file is None:
                patch.delenv("KUBECONFIG", raising=False)
            else:
                patch.setenv("KUBECONFIG", str(file))
            stack.enter_context(caplog.at_level(logging.CRITICAL))
            with pytest.raises(StepError, match=text):
                Cluster("vision")


def write_broken(folder: Path) -> Path:
    file = folder / "broken"
    file.write_text("clusters: [")
    return file


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("kserve://vision", "names no InferenceService, expected a KServe InferenceService, such"),
        ("kserve:///flowers?storage=gs://b/c", "names no InferenceService"),
        ("kserve://vision/Flowers?storage=gs://b/c", "lower-case letters, digits and hyphens"),
        ("kserve://vision/flowers", r"says no bucket for the versions: add \?storage="),
        ("kserve://vision/flowers?storage=/models", "says no bucket for the versions"),
        ("kserve://vision/flowers?storage=gs://", "says no bucket for the versions"),
        ("kserve://vision/flowers?storage=pvc://c/models", "in a volume, which cannot be written"),
        ("kserve://vision/flowers?storage=gs://b/c&time=3", "has the option 'time', known are"),
        ("kserve://vision/flowers?storage=gs://b/c&timeout=1h", "timeout '1h', expected whole sec"),
        ("kserve://vision/flowers?storage=gs://b/c&runtime=A", "the runtime 'A', which is no name"),
        ("kserv://vision/flowers?storage=gs://b/c", "did you mean 'kserve://'"),
    ],
)
def test_destinations_of_another_form(place: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        validate_settings(PushSettings, {"destination": place}, "push")
