"""The stand-in for Vertex, credentials that it takes, a bucket, and models to push."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from darkroom.artifacts.model import Model, read_model
from darkroom.tests.cloud_storage import fake_cloud_storage
from darkroom.tests.google_account import Keys, account_file, made_keys

if TYPE_CHECKING:
    from components.push.tests.vertex_server import VertexServer


@pytest.fixture(scope="module")
def account_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """The key of the account that calls."""
    from components.push.tests.vertex_operations import PROJECT

    keys = made_keys()
    file = tmp_path_factory.mktemp("account") / "account.json"
    file.write_text(account_file(keys, PROJECT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        yield keys


@pytest.fixture(scope="module")
def bucket() -> Iterator[None]:
    """`gs://bucket`, which takes requests without a token."""
    import fsspec

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fsspec.config.conf, "gcs", {"token": "anon"})
        with fake_cloud_storage():
            yield


RECORD: dict[str, Any] = {
    "evaluation": {
        "digest": "e" * 64,
        "count": 20,
        "metrics": {"accuracy": 0.9, "log_loss": 0.25, "auc": 0.97, "kappa": None},
    },
    "provenance": {"run": "run-7"},
}


@pytest.fixture
def vertex_server(
    tls_keys: Keys, account_keys: Keys, bucket: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator["VertexServer"]:
    """A stand-in for Vertex whose operations end soon, and which is not asked for long."""
    from components.push.targets.vertex import api
    from components.push.tests.vertex_server import VertexServer

    monkeypatch.setattr(api, "_FIRST_POLL", 0.01)
    monkeypatch.setattr(api, "PATIENCE_SECONDS", 10.0)
    server = VertexServer(*tls_keys, account_keys.certificate)
    yield server
    server.stop()


@pytest.fixture
def vertex(vertex_server: "VertexServer", request: pytest.FixtureRequest) -> str:
    """A destination at the stand-in, whose storage is empty."""
    from components.push.tests.vertex_operations import PROJECT

    folder = re.sub(r"\W+", "-", request.node.name).strip("-")
    return (
        f"vertex://{PROJECT}/europe-west4/flowers?storage=gs://bucket/{folder}"
        f"&machine=n1-standard-2&replicas=1-3&host={vertex_server.endpoint}"
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """Three, which answer differently."""
    from components.push.tests.conftest import save_model

    folder = tmp_path_factory.mktemp("models")
    for number in range(3):
        save_model(folder / f"{number}", sharpness=1.0 + number, pushed=RECORD)
    return [read_model(folder / f"{number}") for number in range(3)]
