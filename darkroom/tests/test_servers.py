"""How clients reach a model server."""

import concurrent.futures
import ssl
from pathlib import Path

import certifi
import grpc
import httpx
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from darkroom.errors import SettingsError
from darkroom.servers import grpc_channel, http_options
from darkroom.tests.google_account import made_keys


def test_ones_own_certificates_hold_on_this_machine_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Path(certifi.where()).read_text().split("-----END CERTIFICATE-----")[0]
    (tmp_path / "ca.pem").write_text(f"{first}-----END CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    options = http_options("https://127.0.0.1:8501/v1/models/flowers")
    assert options["trust_env"] is False
    assert isinstance(options["verify"], ssl.SSLContext)
    assert len(options["verify"].get_ca_certs()) == 1
    with httpx.Client(**options):
        pass
    assert http_options("http://10.0.0.1/v1/models/flowers") == {"trust_env": True}


def test_certificates_that_cannot_be_read_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/none.pem")
    with pytest.raises(SettingsError, match=r"SSL_CERT_FILE /none\.pem cannot be read: No such"):
        http_options("https://models.example.com/v1/models/flowers")


def test_grpc_over_tls_trusts_the_same_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = made_keys()
    (tmp_path / "ca.pem").write_bytes(keys.certificate)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    pair = [(keys.key, keys.certificate)]
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials(pair))
    server.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    try:
        with grpc_channel(f"localhost:{port}", secure=True) as channel:
            ask = health_pb2_grpc.HealthStub(channel).Check
            answer = ask(health_pb2.HealthCheckRequest(), timeout=20)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with grpc_channel(f"localhost:{port}", secure=False) as channel:
            ask = health_pb2_grpc.HealthStub(channel).Check
            with pytest.raises(grpc.RpcError):
                ask(health_pb2.HealthCheckRequest(), timeout=20)
    finally:
        server.stop(None)
    monkeypatch.setenv("SSL_CERT_FILE", "/none.pem")
    with pytest.raises(SettingsError, match=r"SSL_CERT_FILE /none\.pem cannot be read"):
        grpc_channel(f"localhost:{port}", secure=True)
