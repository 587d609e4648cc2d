"""The server as a process: how it starts, what stops it, and what it says then."""

import concurrent.futures
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from components.serve.server import serve
from components.serve.settings import ServeSettings
from components.serve.tests.server_process import ROOT, Server, free_port, start_server
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import arrays, predict, request
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings
from darkroom.storage.folders import upload_folder
from darkroom.tests.cloud_storage import fake_cloud_storage

pytestmark = pytest.mark.slow


def run(*arguments):
    command = [sys.executable, "-m", "components.serve", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def starting(model, tmp_path):
    """A server of a SavedModel directory that has just been started."""
    server = start_server(model, model.name, tmp_path / "log")
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def _signal_handlers():
    """Puts back what a server that runs in this process takes over."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
    handlers = {number: signal.getsignal(number) for number in signals}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def post_without_body(server: Server) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        line = f"POST /v1/models/{server.name}:predict HTTP/1.1\r\n"
        connection.sendall(f"{line}Host: a\r\nContent-Length: 9\r\n\r\n".encode())
        return connection.recv(1000)


def test_is_not_ready_until_loaded_and_finishes_its_requests_on_sigterm(starting):
    server: Server = starting
    image = {"instances": [b64(photograph(1))]}
    server.wait_until(lambda: server.state() is not None)
    assert server.state() == (503, "LOADING")
    assert server.client.get("/v2/health/ready").status_code == 503
    assert server.predict(image).status_code == 503
    server.wait_until(lambda: server.state() == (200, "AVAILABLE"))
    assert server.predict(image, "/versions/1").status_code == 200
    with concurrent.futures.ThreadPoolExecutor() as threads:
        slow = threads.submit(server.predict, {"signature_name": "busy", "instances": [80]})
        # One whose body never comes is told so when the time to end is over.
        endless = threads.submit(post_without_body, server)
        time.sleep(0.3)
        server.process.terminate()
    assert slow.result().status_code == 200
    assert endless.result().startswith(b"HTTP/1.1 503 ")
    assert server.process.wait(30) == 0
    log = server.log.read_text()
    url = f"http://127.0.0.1:{server.port}/v1/models/{server.name}:predict"
    assert f"[serve] {server.name} version 1 on {url}" in log
    assert "[serve] stopped" in log
    assert "Traceback" not in log
    assert "Warning" not in log


def test_sigterm_under_load_loses_no_request_that_has_begun(model, tmp_path):
    grpc_port = free_port()
    options = ["--name", "flowers", "--grpc-port", str(grpc_port)]
    server = start_server(model, "flowers", tmp_path / "log", *options)
    server.grpc_port = grpc_port
    server.wait_until(server.serving)
    server.wait_until(lambda: "gRPC" in server.log.read_text())
    done = threading.Event()
    rounds = np.array([20], np.int32)

    def ask_rest() -> None:
        answer = httpx.post(
            f"http://127.0.0.1:{server.port}/v1/models/flowers:predict",
            json={"signature_name": "busy", "instances": rounds.tolist()},
            timeout=30,
        )
        answer.raise_for_status()

    message = request("flowers", "busy", rounds=rounds)

    def ask_grpc() -> None:
        assert arrays(predict(server, message))["total"] == [64]

    def load(ask: Any) -> list[tuple[float, str]]:
        """When each request began, and what was wrong with it; up to the first that fails."""
        said: list[tuple[float, str]] = []
        while not done.is_set() and not any(error for _, error in said):
            began, error = time.monotonic(), ""
            try:
                ask()
            except (httpx.HTTPError, grpc.RpcError) as caught:
                error = repr(caught)
            said.append((began, error))
        return said

    with concurrent.futures.ThreadPoolExecutor() as threads:
        clients = [threads.submit(load, ask) for ask in (ask_rest, ask_grpc) * 3]
        try:
            time.sleep(2)
            server.process.terminate()
            ended = time.monotonic()
            assert server.process.wait(30) == 0
        finally:
            done.set()
            server.process.kill()
    # Those that come within the last moments may find the port closed.
    begun = [said for each in clients for said in each.result() if said[0] < ended - 0.2]
    assert len(begun) > len(clients)
    assert [error for _, error in begun if error] == []
    assert "Traceback" not in server.log.read_text()


@pytest.mark.usefixtures("_signal_handlers")
def test_a_model_that_does_not_load_ends_the_server(tmp_path, caplog):
    (tmp_path / "saved_model.pb").write_bytes(b"no saved model")
    with (
        caplog.at_level("WARNING", "darkroom.serve"),
        pytest.raises(StepError, match=r"no version of the model in .* can be loaded"),
    ):
        serve(ServeSettings(models={"broken": str(tmp_path)}, port=free_port()))
    (message,) = [record.message for record in caplog.records]
    assert message.startswith("broken version 1 cannot be loaded: Cannot parse file")


def test_a_missing_directory_ends_with_one_line(tmp_path):
    result = run(tmp_path / "none")
    assert result.returncode == 2
    expected = f"[serve] error: the model directory {tmp_path}/none does not exist\n"
    assert (result.stdout, result.stderr) == ("", expected)


def test_a_directory_without_a_model_ends_with_one_line(tmp_path):
    result = run(tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(f"[serve] error: {tmp_path} holds no model: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_port_in_use_ends_with_one_line(model, option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = "--grpc-port" if option == "--port" else "--port"
        result = run(model, option, port, other, free_port())
    assert result.returncode == 1
    expected = f"[serve] error: port {port} of 127.0.0.1 cannot be used (address already in use); "
    assert result.stderr == f"{expected}choose another\n"


def test_wrong_settings_end_with_one_line(model):
    result = run(model, "--port", "70000")
    assert result.returncode == 2
    assert result.stderr.startswith("[serve] error: setting 'port': ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": {"a/b": "models/a"}}, "setting 'models.a/b"),
        ({"models": {"..": "models/a"}}, "setting 'models..."),
        ({"models": {"a": "", "b": "models/b"}}, "setting 'models.a'"),
        ({"models": {"a": "m/a", "b": "m/b"}, "predict_route": "/p"}, "predict_route has no model"),
        ({"poll_seconds": 0}, "setting 'poll_seconds'"),
        ({"grpc_port": 8501}, "port and grpc_port must differ"),
        ({"prot": 1}, "unknown setting 'prot'; did you mean 'port'?"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises(SettingsError) as caught:
        validate_settings(ServeSettings, values)
    assert message in str(caught.value)


def test_vertex_starts_it_by_its_variables(model, tmp_path):
    """As a custom container: the model in a bucket, the port and the paths are Vertex's."""
    route = "/v1/endpoints/1/deployedModels/2:predict"
    with fake_cloud_storage():
        upload_folder(model, "gs://bucket/uploaded/model", ("saved_model.pb",))
        port = free_port()
        environment = os.environ | {
            "AIP_STORAGE_URI": "gs://bucket/uploaded/model",
            "AIP_HTTP_PORT": str(port),
            "AIP_PREDICT_ROUTE": route,
            "AIP_HEALTH_ROUTE": "/v1/endpoints/1/deployedModels/2",
        }
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "components.serve"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=environment,
            )
        server = Server(process, port, "model", tmp_path / "log")
        try:
            server.wait_until(lambda: server.state() == (200, "AVAILABLE"))
            assert server.client.get("/v1/endpoints/1/deployedModels/2").status_code == 200
            image = {"instances": [{"image_bytes": b64(photograph(1))}]}
            response = server.client.post(route, json=image)
            assert response.status_code == 200
            assert response.json() == server.predict(image).json()
        finally:
            process.terminate()
            process.wait(30)
