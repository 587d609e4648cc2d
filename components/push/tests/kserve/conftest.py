"""A cluster with KServe, a bucket, and a target that pushes there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tenacity
import yaml

from components.push.targets import target_for
from components.push.targets.kserve import rollout
from components.push.targets.kserve.cluster import Cluster
from components.push.targets.target import PushTarget
from components.push.tests.kserve.cluster import FakeCluster, running
from components.push.tests.test_targets import make_model
from darkroom.artifacts.model import Model
from darkroom.tests.cloud_storage import fake_cloud_storage


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
