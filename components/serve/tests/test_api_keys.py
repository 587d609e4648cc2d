"""Keys and TLS: at every door, and not for those who only look whether the server lives."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from components.serve.limits.api_keys import ApiKeys
from components.serve.server import serve
from components.serve.settings import ServeSettings
from components.serve.tests.server_process import Server, free_port, start_server
from components.serve.tests.small_model import b64, photograph
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow

IMAGE = {"instances": [b64(photograph(5))]}


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def locked(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("locked")
    (folder / "keys").write_text("# of the app\nfirst-key\n")
    certificate, key = make_certificate(folder)
    settings = (
        f'{{"api_keys": "{folder / "keys"}", "tls_certificate": "{certificate}", '
        f'"tls_key": "{key}"}}'
    )
    grpc_port = free_port()
    options = ["--grpc-port", str(grpc_port), "--settings", settings]
    server = start_server(model, "flowers", folder / "log", "--name", "flowers", *options)
    server.client = httpx.Client(
        base_url=f"https://127.0.0.1:{server.port}",
        verify=ssl.create_default_context(cafile=str(certificate)),
        headers={"Authorization": "Bearer first-key"},
        timeout=60,
    )
    server.grpc_port = grpc_port
    try:
        server.wait_until(server.serving)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


def test_rest_asks_for_a_key(locked: Server) -> None:
    assert locked.predict(IMAGE).status_code == 200
    path = "/v1/models/flowers:predict"
    with_header = {"X-API-Key": "first-key", "Authorization": ""}
    assert locked.client.post(path, json=IMAGE, headers=with_header).status_code == 200
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer other"}, {"X-API-Key": "x"}):
        response = locked.client.post(path, json=IMAGE, headers={"Authorization": "", **headers})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["error"].startswith("no API key that this server knows")
    for path in ("/v2/health/ready", "/metrics"):
        assert locked.client.get(path, headers={"Authorization": ""}).status_code == 200
    for path in ("/v1/models/flowers", "/v1/models/flowers/metadata", "/v2/models/flowers"):
        assert locked.client.get(path, headers={"Authorization": ""}).status_code == 401


def test_a_key_that_is_added_is_known_at_once(locked: Server) -> None:
    file = locked.log.parent / "keys"
    second = {"Authorization": "Bearer second-key"}
    assert locked.client.get("/v1/models/flowers", headers=second).status_code == 401
    file.write_text("first-key\nsecond-key\n")
    assert locked.client.get("/v1/models/flowers", headers=second).status_code == 200


def test_grpc_asks_for_a_key_over_tls(locked: Server) -> None:
    from grpc_health.v1.health_pb2 import HealthCheckRequest
    from grpc_health.v1.health_pb2_grpc import HealthStub
    from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub

    certificate = (locked.log.parent / "certificate.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(certificate)
    with grpc.secure_channel(f"127.0.0.1:{locked.grpc_port}", credentials) as channel:
        assert HealthStub(channel).Check(HealthCheckRequest(), timeout=20).status == 1
        request = GetModelStatusRequest()
        request.model_spec.name = "flowers"
        status = ModelServiceStub(channel).GetModelStatus
        with pytest.raises(grpc.RpcError) as caught:
            status(request, timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        metadata = [("authorization", "Bearer first-key")]
        assert status(request, timeout=20, metadata=metadata).model_version_status


def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(SettingsError, match=r"api_keys .*none cannot be read: No such file"):
        ApiKeys(str(tmp_path / "none"))
    (tmp_path / "empty").write_text("# none yet\n\n")
    with pytest.raises(SettingsError, match="holds no key"):
        ApiKeys(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="tls_certificate and tls_key go together"):
        ServeSettings(tls_key=str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="there is no file"):
        ServeSettings(tls_key="/none", tls_certificate="/none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    with pytest.raises(SettingsError, match="is no text"):
        ApiKeys(str(tmp_path / "binary"))
    certificate, key = make_certificate(tmp_path)
    assert ServeSettings(tls_certificate=str(certificate), tls_key=str(key))
    other, _ = make_certificate(tmp_path_factory.mktemp("other"))
    for pair in ((other, key), (certificate, tmp_path / "empty"), (key, key)):
        with pytest.raises(
            ValueError, match="are not a certificate in PEM and its unencrypted key"
        ):
            ServeSettings(tls_certificate=str(pair[0]), tls_key=str(pair[1]))


def test_a_public_key_that_is_none_ends_the_start_early(model: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    settings = ServeSettings(models={"flowers": str(model)}, public_key=str(tmp_path / "key.pem"))
    with pytest.raises(SettingsError, match=r"key\.pem is no public key"):
        serve(settings)
