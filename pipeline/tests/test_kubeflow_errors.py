"""What Kubeflow refuses, or does not answer, is one line that names the fix."""

import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import SettingsError, StepError
from pipeline.settings.cluster import KubeflowSettings
from pipeline.target import TransientError
from pipeline.targets.kubeflow.client import Kubeflow
from pipeline.tests.kubeflow_server import KubeflowServer, kubeflow_server

ARGUMENTS = {"data": "/gcs/digits"}


def test_a_busy_server_is_asked_again(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    run = kubeflow.submit(kfp_package, "digits", ARGUMENTS, True)
    server.fail(503, times=2)
    server.fail(429)
    assert kubeflow.run(run.id).state == "running"
    server.fail(503, "upstream connect error", times=4)
    with pytest.raises(
        TransientError, match=r"too busy \(503: upstream connect error\); try again"
    ):
        kubeflow.run(run.id)


def test_a_busy_server_may_say_how_long(kubeflow: Kubeflow, server: KubeflowServer) -> None:
    waited: list[float] = []
    real_sleep = time.sleep
    server.fail(429, Retry_After="1")
    server.fail(429, Retry_After="0")

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        real_sleep(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", sleep)
        assert kubeflow.runs("digits", 1) == []
    assert waited[0] == 1
    assert waited[1] < 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("done", [False, True])
def test_a_start_whose_answer_is_lost_starts_one_run(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer, status: int, done: bool
) -> None:
    kubeflow.submit(kfp_package, "digits", ARGUMENTS, True)
    list_experiments = len(server.asked)
    server.fail_on("POST /apis/v2beta1/runs", status, done=done)
    run = kubeflow.submit(kfp_package, "digits", ARGUMENTS, True)
    assert list(server.runs) == ["run-0", "run-1"]
    assert run.id == "run-1"
    assert len(server.asked) > list_experiments


def test_a_token_that_has_expired(kubeflow_settings: KubeflowSettings, tmp_path: Path) -> None:
    kubeflow = Kubeflow(kubeflow_settings)
    token_file = tmp_path / "token"
    good = token_file.read_text()
    token_file.write_text("an-old-token")
    message = rf"does not take the token in {token_file}: it has expired .* write a new one"
    with pytest.raises(StepError, match=message):
        kubeflow.run("run-0")
    # A wait of hours outlives its first token.
    token_file.write_text(good)
    assert kubeflow.runs("digits", 1) == []
    with pytest.raises(StepError, match=r"wants a token: set cluster\.kfp\.token_file"):
        Kubeflow(kubeflow_settings.model_copy(update={"token_file": None})).run("run-0")


def test_a_permission_that_is_missing(
    kubeflow_settings: KubeflowSettings, server: KubeflowServer
) -> None:
    server.fail(403, "User 'ann@example.com' is not authorized with reason:  (request: ...)")
    with pytest.raises(
        StepError,
        match=r"User 'ann@example\.com' is not authorized .* role kubeflow-pipelines-edit .* "
        r"cluster\.kfp\.namespace",
    ):
        Kubeflow(kubeflow_settings).run("run-0")
    server.fail(403, "not authorized")
    in_vision = kubeflow_settings.model_copy(update={"namespace": "vision"})
    with pytest.raises(StepError, match=r"in the namespace vision$"):
        Kubeflow(in_vision).run("run-0")


def test_what_is_not_there_or_there_already(kubeflow: Kubeflow, server: KubeflowServer) -> None:
    for ask in (kubeflow.run, kubeflow.cancel, kubeflow.retry):
        with pytest.raises(StepError, match=r"there is no run run-9 at http.*Run run-9 not found"):
            ask("run-9")
    server.fail(409, "changed meanwhile")
    with pytest.raises(StepError, match="run run-9 is there already, or was changed"):
        kubeflow.run("run-9")
    server.fail(500, "InternalServerError:\n" + "x" * 3000)
    with pytest.raises(
        StepError, match=r"refuses run run-9 \(500\): InternalServerError: x"
    ) as hit:
        kubeflow.run("run-9")
    assert len(str(hit.value)) < 500


@pytest.mark.usefixtures("server")
def test_no_one_at_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(TransientError, match=f"cannot reach Kubeflow at {host}: nothing answers"):
        Kubeflow(KubeflowSettings(host=host)).run("run-0")
    with pytest.raises(TransientError, match="no machine has that name"):
        Kubeflow(KubeflowSettings(host="http://no-such-host.invalid")).run("run-0")


def test_a_server_without_tls(server: KubeflowServer) -> None:
    host = server.url.replace("http:", "https:")
    with pytest.raises(StepError, match=f"no secure connection to {host}: SSLError"):
        Kubeflow(KubeflowSettings(host=host)).run("run-0")


def test_an_authority_of_one_s_own(
    tls_keys: tuple[bytes, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose certificate no public authority has signed."""
    (tmp_path / "key.pem").write_bytes(tls_keys[0])
    (tmp_path / "certificate.pem").write_bytes(tls_keys[1])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with kubeflow_server(context) as server:
        host = server.url.replace("127.0.0.1", "localhost")
        with pytest.raises(StepError, match=r"certificate verify failed.*SSL_CERT_FILE names"):
            Kubeflow(KubeflowSettings(host=host)).run("run-0")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        with pytest.raises(StepError, match="wants a token"):
            Kubeflow(KubeflowSettings(host=host)).run("run-0")


@pytest.fixture
def web_server() -> Iterator[tuple[list[int], str]]:
    """A web server that is no Kubeflow; what it answers with, and its address."""
    answers: list[int] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers[-1])
            self.send_header("Location", "/dex/auth")
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield answers, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (200, "answers with a web page"),
        (302, r"sends us on to /dex/auth: where that is a sign-in, the token .* has expired"),
        (404, "no Kubeflow Pipelines API .* often ends in /pipeline"),
    ],
)
def test_an_address_that_is_not_the_api(
    web_server: tuple[list[int], str], status: int, message: str
) -> None:
    answers, host = web_server
    answers.append(status)
    with pytest.raises(StepError, match=message):
        Kubeflow(KubeflowSettings(host=host)).run("run-0")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"'cluster\.kfp\.host' is missing"),
        ({"host": "kubeflow.example.com"}, "must begin with https://"),
        ({"host": "http://a", "token_file": "/nowhere/token"}, "/nowhere/token: No such file"),
        ({"host": "http://a", "token_file": "/dev/null"}, "does not hold one token"),
    ],
)
def test_settings_that_lead_nowhere(settings: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Kubeflow(KubeflowSettings(**settings))
