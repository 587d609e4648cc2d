"""The stand-in for Vertex, credentials that it takes, and Vertex as it is called in earnest."""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pipeline.settings.cluster import VertexSettings
from pipeline.targets.vertex.client import Vertex

if TYPE_CHECKING:
    from pipeline.tests.vertex_server import VertexServer


class Keys(NamedTuple):
    """An RSA key and a certificate for it, in PEM."""

    key: bytes
    certificate: bytes


@pytest.fixture(scope="session")
def tls_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """The stand-in's TLS key, whose certificate gRPC trusts for as long as the tests run."""
    keys = made_keys()
    roots = tmp_path_factory.mktemp("tls") / "roots.pem"
    roots.write_bytes(keys.certificate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(roots))
        yield keys


@pytest.fixture(scope="session")
def account_keys() -> Keys:
    """The key of the account that calls."""
    return made_keys()


@pytest.fixture
def vertex_server(
    tls_keys: Keys, account_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator["VertexServer"]:
    """A stand-in for Vertex, and a key file of an account that it takes."""
    from pipeline.tests.vertex_server import VertexServer

    key_file = tmp_path / "account.json"
    key_file.write_text(account_file(account_keys))
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


def account_file(keys: Keys) -> str:
    """The key file of a service account that signs with these keys."""
    from pipeline.tests.vertex_checks import PROJECT

    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": keys.key.decode(),
        "client_email": f"trigger@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://localhost:1/token",
    }
    return json.dumps(account)


def made_keys() -> Keys:
    """A new key, with a certificate for localhost that it signed itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=12))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Keys(private, certificate.public_bytes(serialization.Encoding.PEM))
