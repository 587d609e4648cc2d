"""The stand-in for Vertex, credentials that it takes, and Vertex as it is called in earnest."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from darkroom.tests.google_account import Keys, account_file, made_keys
from pipeline.settings.cluster import VertexSettings
from pipeline.targets.vertex.client import Vertex

if TYPE_CHECKING:
    from pipeline.tests.vertex_server import VertexServer


@pytest.fixture(scope="session")
def account_keys() -> Keys:
    """The key of the account that calls."""
    return made_keys()


@pytest.fixture
def vertex_server(
    tls_keys: Keys, account_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["VertexServer"]:
    """A stand-in for Vertex, and a key file of an account that it takes."""
    from pipeline.tests.vertex_checks import PROJECT
    from pipeline.tests.vertex_server import VertexServer

    key_file = tmp_path / "account.json"
    key_file.write_text(account_file(account_keys, PROJECT))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file))
    server = VertexServer(*tls_keys, account_keys.certificate)
    yield server
    server.stop()


@pytest.fixture
def vertex_settings(vertex_server: "VertexServer") -> VertexSettings:
    """Settings, all of them, that lead to the stand-in."""
    from pipeline.tests.vertex_checks import ACCOUNT, LOCATION, PARENT, PROJECT

    return VertexSettings(
        project=PROJECT,
        location=LOCATION,
        endpoint=vertex_server.endpoint,
        pipeline_root="gs://my-bucket/darkroom",
        service_account=ACCOUNT,
        network="projects/123/global/networks/inside",
        encryption_key=f"{PARENT}/keyRings/ring/cryptoKeys/key",
        labels={"team": "vision"},
    )


@pytest.fixture
def vertex(vertex_settings: VertexSettings) -> Vertex:
    """Vertex, as it is called in earnest."""
    return Vertex(vertex_settings)
