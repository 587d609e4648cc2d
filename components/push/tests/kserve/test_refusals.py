"""What a cluster, a network or a person may refuse the KServe target: one line, nothing changed."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.push.settings import PushSettings
from components.push.targets.kserve.cluster import Cluster
from components.push.targets.target import PushTarget
from components.push.tests.kserve.cluster import SERVICE, FakeCluster
from components.push.tests.kserve.controller import number_of
from darkroom.artifacts.model import Model
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow

NOT_INSTALLED = "404 page not found\n"


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
