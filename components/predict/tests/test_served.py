"""A served model gives the same; one that is away, busy or another is no loss."""

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.predict import work as work_module
from components.predict.models.retries import BusyError, RateLimit, patiently
from components.predict.models.served import PROBE
from components.predict.models.tf_serving import GrpcClient
from components.predict.predict import predict
from components.predict.settings import PredictSettings
from components.predict.tests.small_model import LABELS, write_photographs
from darkroom.artifacts.batch_predictions import BatchPredictions, read_batch_predictions
from darkroom.errors import SettingsError, StepError

pytestmark = pytest.mark.slow


def run(out: Path, model: str, data: Path, **settings: Any) -> BatchPredictions:
    values = {"data": str(data), "model": model, "batch_size": 4, **settings}
    predict(PredictSettings.model_validate(values), predictions=out)
    return read_batch_predictions(out)


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Served:
    """Our own server on a folder of versions, in a process of its own."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.port, self.grpc_port = free_ports(2)
        self._command = [sys.executable, "-m", "components.serve", str(folder), "--name", "small"]
        self._command += ["--port", str(self.port), "--grpc-port", str(self.grpc_port)]
        self._command += ["--poll-seconds", "0.2"]
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/models/small"


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "versions").mkdir()
    (folder / "versions" / "4").symlink_to(model)
    server = Served(folder / "versions", folder / "log")
    try:
        yield server
    finally:
        server.kill()


def test_a_served_model_gives_the_same_and_may_die_in_between(
    served: Served, model: Path, tmp_path: Path
) -> None:
    files = write_photographs(tmp_path / "in", 30)
    files[7].write_bytes(b"no image")
    here = run(tmp_path / "here", str(model), tmp_path / "in", embedding=True)
    rest = run(tmp_path / "rest", served.address, tmp_path / "in", embedding=True)
    assert rest.model_version == 4
    assert rest.labels == tuple(LABELS)
    served.kill()
    # Nobody answers when it begins.
    back = threading.Timer(1.0, served.start)
    back.start()
    address = f"grpc://127.0.0.1:{served.grpc_port}/small"
    grpc = run(tmp_path / "grpc", address, tmp_path / "in", embedding=True)
    back.join()
    compared = ["image", "image_id", "label", "label_index"]
    for there in (rest, grpc):
        assert (
            there.manifest["counts"] == here.manifest["counts"] == {"predicted": 29, "rejected": 1}
        )
        assert there.table(compared).equals(here.table(compared))
        for name in ("probability", "probabilities", "embedding"):
            values, expected = (each.table([name])[name].to_pylist() for each in (there, here))
            for value, wanted in zip(values, expected, strict=True):
                assert value == pytest.approx(wanted, abs=1e-6)


def test_what_is_no_address_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is no address: Invalid port: 'abc'$"):
        run(tmp_path / "out", "http://localhost:abc/v1/models/x", tmp_path)


class Fickle(BaseHTTPRequestHandler):
    """Answers as TF Serving does, but for what it has been told to do first."""

    behaviours: list[Any]
    asked: list[float]
    labels = LABELS
    probabilities = (0.75, 0.25)
    signatures = ("serving_default",)
    refuses_all: bool

    def do_GET(self) -> None:
        if self.path.endswith("/metadata"):
            self._answer(200, {"metadata": {"labels": {"names": LABELS}}})
        else:
            states = [{"version": "2", "state": "AVAILABLE"}]
            self._answer(200, {"model_version_status": states})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_probe = body["instances"] == [{"b64": base64.b64encode(PROBE).decode()}]
        if not is_probe:
            self.asked.append(time.monotonic())
        behaviour = self.behaviours.pop(0) if self.behaviours and not is_probe else None
        if self.refuses_all or body["signature_name"] not in self.signatures:
            self._answer(400, {"error": "just so"})
        elif body["signature_name"] == "embedding":
            self._answer(200, {"predictions": [[1.0, 2.0]] * len(body["instances"])})
        elif behaviour == "hang up, and come back with other weights":
            type(self).probabilities = (0.7, 0.3)
            self.connection.close()
        elif behaviour == "hang up":
            self.connection.close()
        elif isinstance(behaviour, int):
            self._answer(behaviour, {"error": "just so"}, {"Retry-After": "1"})
        else:
            label = behaviour if isinstance(behaviour, str) else self.labels[0]
            row = {
                "label": label,
                "label_index": 0,
                "probability": 0.75,
                "probabilities": list(self.probabilities),
                **(behaviour if isinstance(behaviour, dict) else {}),
            }
            row = {name: value for name, value in row.items() if value is not None}
            self._answer(200, {"predictions": [row] * len(body["instances"])})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def fickle() -> Iterator[str]:
    Fickle.behaviours, Fickle.asked, Fickle.refuses_all = [], [], False
    Fickle.probabilities = (0.75, 0.25)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fickle)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/models/small"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_may_be_answered_later_is_asked_again(fickle: str, tmp_path: Path) -> None:
    files = write_photographs(tmp_path / "in", 8)
    Fickle.behaviours = [429, "hang up", 503]
    found = run(tmp_path / "out", fickle, tmp_path / "in", parallel_requests=1)
    assert found.table()["image"].to_pylist() == list(map(str, files))
    assert len(Fickle.asked) == 2 + 3
    assert Fickle.asked[1] - Fickle.asked[0] >= 1  # as it asked for


def test_beams_workers_ask_too(fickle: str, tmp_path: Path) -> None:
    files = write_photographs(tmp_path / "in", 8)
    Fickle.behaviours = [429]
    options = ["--runner=DirectRunner"]
    found = run(tmp_path / "out", fickle, tmp_path / "in", beam_options=options)
    assert found.table()["image"].to_pylist() == list(map(str, files))
    assert (found.model_version, found.model_digest) == (2, "")


def test_a_request_that_is_too_large_is_halved(fickle: str, tmp_path: Path) -> None:
    write_photographs(tmp_path / "in", 4)
    Fickle.behaviours = [413, 413]
    found = run(tmp_path / "out", fickle, tmp_path / "in", parallel_requests=1)
    assert found.rows == 4
    assert len(Fickle.asked) == 5


def test_a_server_without_the_signature_of_both_is_asked_for_each(
    fickle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photographs(tmp_path / "in", 2)
    monkeypatch.setattr(Fickle, "signatures", ("serving_default", "embedding"))
    found = run(tmp_path / "out", fickle, tmp_path / "in", embedding=True)
    assert found.table()["embedding"].to_pylist() == [[1.0, 2.0]] * 2
    assert len(Fickle.asked) == 2
    monkeypatch.setattr(Fickle, "signatures", ("serving_default",))
    with pytest.raises(StepError, match=r"small does not answer to any photograph: just so$"):
        run(tmp_path / "none", fickle, tmp_path / "in", embedding=True)


def test_a_server_that_refuses_every_photograph_rejects_none(fickle: str, tmp_path: Path) -> None:
    write_photographs(tmp_path / "in", 4)
    Fickle.refuses_all = True
    with pytest.raises(StepError, match=r"small does not answer to any photograph: just so$"):
        run(tmp_path / "out", fickle, tmp_path / "in")
    assert Fickle.asked == []


def test_no_more_requests_than_allowed(fickle: str, tmp_path: Path) -> None:
    write_photographs(tmp_path / "in", 6)
    settings = {"batch_size": 1, "requests_per_second": 10}
    run(tmp_path / "out", fickle, tmp_path / "in", **settings)
    asked = sorted(Fickle.asked)
    assert len(asked) == 6
    assert asked[-1] - asked[0] >= 0.45


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (404, r"does not serve version 2 any more \(just so\): predict again, to another folder$"),
        ("tulip", r"serves another model than when this work began: predict again"),
        (401, r"answers 401: just so$"),
        ({"label_index": None}, r"gives no 'label_index'$"),
        ({"probabilities": [[0.75], "b"]}, r"gives what is no answer: "),
        ({"probability": {"a": 1}}, r"gives what is no answer: "),
    ],
)
def test_another_model_or_version_ends_the_work_in_one_line(
    fickle: str, tmp_path: Path, behaviour: Any, message: str
) -> None:
    write_photographs(tmp_path / "in", 8)
    Fickle.behaviours = [None, behaviour]
    with pytest.raises(StepError, match=message) as raised:
        run(tmp_path / "out", fickle, tmp_path / "in", parallel_requests=1)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_a_server_that_comes_back_with_other_weights_ends_the_work(
    fickle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same version and labels, which is all that it states."""
    monkeypatch.setattr(work_module, "SHARD_ROWS", 4)
    write_photographs(tmp_path / "in", 12)
    Fickle.behaviours = [None, "hang up, and come back with other weights"]
    with pytest.raises(StepError, match=r"serves another model than when this work began: "):
        run(tmp_path / "out", fickle, tmp_path / "in", parallel_requests=1)
    assert not (tmp_path / "out").exists()
    # What the one before did is not resumed.
    found = run(tmp_path / "out", fickle, tmp_path / "in")
    rows = found.table()["probabilities"].to_pylist()
    assert np.array(rows) == pytest.approx(np.array([[0.7, 0.3]] * 12))


def test_no_proxy_leads_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close(), daemon=True)
        thread.start()
        with pytest.raises(BusyError):
            GrpcClient(f"127.0.0.1:{server.getsockname()[1]}", "small", False, "").version()
        thread.join(10)
        assert not thread.is_alive()


def test_patience_ends() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise BusyError("it does not answer")

    with pytest.raises(StepError, match=r"^it does not answer, for 0\.6 seconds; the same call"):
        patiently(call, 0.6)
    assert len(calls) >= 2


def test_no_server_asks_for_more_than_patience() -> None:
    def call() -> None:
        raise BusyError("it is busy", wait=3600.0)

    started = time.monotonic()
    with pytest.raises(StepError, match=r"^it is busy, for 0\.3 seconds"):
        patiently(call, 0.3)
    assert time.monotonic() - started < 5


def test_a_limit_spaces_what_comes_at_once() -> None:
    limit = RateLimit(50)
    started = time.monotonic()
    for _ in range(6):
        limit.wait()
    assert 0.1 <= time.monotonic() - started < 0.5
