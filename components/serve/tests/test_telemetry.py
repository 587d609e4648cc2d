"""What a server says of its requests: ids, the access log, traces, refusals."""

import concurrent.futures
import contextlib
import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import pytest

from components.serve.telemetry.request_record import request_id
from components.serve.tests.server_process import Server, free_port, start_server
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import channel, predict, refused, request

pytestmark = pytest.mark.slow

IMAGE = {"instances": [b64(photograph(5)), b64(photograph(6))]}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


class Collector:
    """A real receiver of OTLP over HTTP, which keeps the spans."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        self.services: set[str] = set()
        self.spans: list[Any] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    attributes = {each.key: each.value for each in resource.resource.attributes}
                    collector.services.add(attributes["service.name"].string_value)
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def spans_of(self, trace: str) -> dict[str, Any]:
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace}


@contextlib.contextmanager
def noted(base_dir: Path, folder: Path, collector: Collector | None) -> Iterator[Server]:
    """A server with an access log, and traces where there is a collector."""
    grpc_port = free_port()
    settings = {"access_log": True, "grpc_port": grpc_port, "max_requests": 3, "batch_size": 2}
    traced = (
        {}
        if collector is None
        else {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    )
    with mock.patch.dict(os.environ, traced):
        server = start_server(
            base_dir, "flowers", folder / "log", "--settings", json.dumps(settings)
        )
    server.grpc_port = grpc_port
    try:
        server.wait_until(server.serving)
        server.wait_until(lambda: "gRPC" in server.log.read_text())
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.server.shutdown()


@pytest.fixture(scope="module")
def traced(
    base_dir: Path, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with noted(base_dir, tmp_path_factory.mktemp("traced"), collector) as server:
        yield server


def access_lines(server: Server) -> list[dict[str, Any]]:
    lines = server.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def line_of(server: Server, identity: str) -> dict[str, Any]:
    def find() -> list[dict[str, Any]]:
        return [line for line in access_lines(server) if line["request_id"] == identity]

    server.wait_until(find)
    (line,) = find()
    return line


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-request-id": "order-7/a.b:c"}, "order-7/a.b:c"),
        ({"x-request-id": "order-7", "traceparent": TRACEPARENT}, "order-7"),
        ({"traceparent": TRACEPARENT}, TRACE),
    ],
)
def test_an_id_that_is_given_is_taken(headers: dict[str, str], expected: str) -> None:
    assert request_id(headers.items()) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-request-id": ""},
        {"x-request-id": "two words"},
        {"x-request-id": 'a"}\n{"forged": 1'},
        {"x-request-id": "é"},
        {"x-request-id": "x" * 129},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": TRACE},
    ],
)
def test_else_one_is_made(headers: dict[str, str]) -> None:
    made = request_id(headers.items())
    assert len(made) == 32
    assert int(made, 16)
    assert made not in headers.values()
    assert made != request_id(headers.items())


def test_rest_has_a_line_a_request(traced: Server) -> None:
    path = "/v1/models/flowers:predict"
    response = traced.client.post(path, json=IMAGE, headers={"X-Request-Id": "order-7"})
    assert response.headers["x-request-id"] == "order-7"
    line = line_of(traced, "order-7")
    assert 0 < line.pop("ms") < 60_000
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "request_id": "order-7",
        "method": "POST",
        "path": path,
        "status": 200,
        "request_bytes": int(response.request.headers["content-length"]),
        "answer_bytes": len(response.content),
        "model": "flowers",
        "version": 3,
        "instances": 2,
    }
    wrong = traced.client.post("/v1/models/flower:predict?key=secret", json=IMAGE)
    line = line_of(traced, wrong.headers["x-request-id"])
    assert (line["status"], line["path"]) == (404, "/v1/models/flower:predict")
    before = len(access_lines(traced))
    for probe in ("/v2/health/ready", "/metrics"):
        assert traced.client.get(probe).status_code == 200
    later = traced.client.get("/v1/models/flowers").headers["x-request-id"]
    assert line_of(traced, later)["method"] == "GET"
    assert len(access_lines(traced)) == before + 1
    assert "secret" not in traced.log.read_text()
    assert b64(photograph(5))["b64"][:40] not in traced.log.read_text()


def test_grpc_has_a_line_a_call(traced: Server) -> None:
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    asked = request("flowers", image_bytes=[photograph(5)])
    with channel(traced) as opened:
        call = PredictionServiceStub(opened).Predict
        answer, done = call.with_call(asked, 60, metadata=[("x-request-id", "order-8")])
        assert dict(done.trailing_metadata())["x-request-id"] == "order-8"
        with pytest.raises(grpc.RpcError) as caught:
            call(request("flowers", image=[b""]), 60, metadata=[("x-request-id", "order-9")])
        assert dict(caught.value.trailing_metadata())["x-request-id"] == "order-9"
    line = line_of(traced, "order-8")
    assert line["rpc"] == "tensorflow.serving.PredictionService/Predict"
    assert (line["status"], line["model"], line["version"]) == ("OK", "flowers", 3)
    assert line["instances"] == 1
    assert line["request_bytes"] == asked.ByteSize()
    assert line["answer_bytes"] == answer.ByteSize()
    assert line_of(traced, "order-9")["status"] == "INVALID_ARGUMENT"


def test_spans_are_of_the_request_its_wait_and_its_call(
    traced: Server, collector: Collector
) -> None:
    path = "/v1/models/flowers:predict"
    traced.client.post(path, json=IMAGE, headers={"traceparent": TRACEPARENT})
    names = {f"POST {path}", "queue", "model call"}
    traced.wait_until(lambda: collector.spans_of(TRACE).keys() == names)
    spans = collector.spans_of(TRACE)
    whole = spans[f"POST {path}"]
    assert whole.parent_span_id.hex() == SPAN
    attributes = {each.key: each.value for each in whole.attributes}
    assert attributes["darkroom.model"].string_value == "flowers"
    assert attributes["darkroom.version"].int_value == 3
    queue, call = spans["queue"], spans["model call"]
    for inner in (queue, call):
        assert inner.parent_span_id == whole.span_id
        assert whole.start_time_unix_nano <= inner.start_time_unix_nano
        assert inner.end_time_unix_nano <= whole.end_time_unix_nano
    assert queue.end_time_unix_nano == call.start_time_unix_nano
    assert collector.services == {"darkroom-serve"}

    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    other = TRACE[::-1]
    with channel(traced) as opened:
        asked = request("flowers", image_bytes=[photograph(5)])
        metadata = [("traceparent", f"00-{other}-{SPAN}-01")]
        PredictionServiceStub(opened).Predict(asked, 60, metadata=metadata)
    name = "/tensorflow.serving.PredictionService/Predict"
    traced.wait_until(lambda: name in collector.spans_of(other))


def test_without_its_variables_nothing_of_opentelemetry_is_loaded(server: Server) -> None:
    maps = Path(f"/proc/{server.process.pid}/environ").read_text()
    assert "OTEL_" not in maps
    code = (
        "import sys; from components.serve.telemetry.tracing import tracing, note_call_times\n"
        "with tracing(): note_call_times(1, 2)\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_grpcs_refusals_are_counted(traced: Server) -> None:
    def refusals() -> float:
        lines = traced.client.get("/metrics").text.splitlines()
        name = 'darkroom_refused_requests_total{status="429"} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    import numpy as np

    before = refusals()
    busy = request("flowers", "busy", rounds=np.array([40], np.int32))

    def ask(_: int) -> bool:
        try:
            predict(traced, busy)
        except grpc.RpcError:
            return True
        return False

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        busy_answers = sum(threads.map(ask, range(8)))
    assert busy_answers
    assert refusals() - before == busy_answers


def test_a_message_is_not_read_before_it_counts(traced: Server) -> None:
    """Of a full server, no message is taken: the client's is still on its side."""
    with contextlib.ExitStack() as half_sent:
        from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

        for _ in range(3):
            opened = half_sent.enter_context(channel(traced))
            call = opened.stream_unary(
                "/tensorflow.serving.PredictionService/Predict",
                PredictRequest.SerializeToString,
                PredictResponse.FromString,
            )
            done = threading.Event()
            half_sent.callback(done.set)
            # A stream whose one message never comes, as of a slow client.
            half_sent.callback(call.future(iter(done.wait, True)).cancel)
        large = request("flowers", image_bytes=[photograph(5) + bytes(50_000_000)])
        traced.wait_until(lambda: traced.predict(IMAGE).status_code == 429)
        before = _resident(traced)
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "the server is busy"):
            predict(traced, large)
        assert _resident(traced) - before < 30_000_000
    traced.wait_until(lambda: traced.predict(IMAGE).status_code == 200)


def _resident(server: Server) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_what_nobody_waits_for_is_not_computed(traced: Server) -> None:
    """Two photographs are called at a time: of most, the client has gone before their turn."""
    import httpx

    def calls() -> float:
        lines = traced.client.get("/metrics").text.splitlines()
        name = "darkroom_call_instances_count{"
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before, photographs = calls(), [photograph(seed) for seed in range(4)] * 250
    url = f"http://127.0.0.1:{traced.port}/v1/models/flowers:predict"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json={"instances": [*map(b64, photographs)]}, timeout=0.3)
    with pytest.raises(grpc.RpcError):
        predict(traced, request("flowers", image_bytes=photographs), 0.3)
    while (seen := calls()) != before:
        before = seen
        time.sleep(0.3)
    whole = traced.predict({"instances": [*map(b64, photographs)]})
    assert len(whole.json()["predictions"]) == 1000
    assert calls() - before == 500
    assert seen < 500


def test_a_bad_photograph_of_a_large_request_is_named(traced: Server) -> None:
    photographs = [photograph(1)] * 5 + [b"no photograph"] + [photograph(1)] * 5
    response = traced.predict({"instances": [*map(b64, photographs)]})
    assert response.status_code == 400
    assert response.json()["error"].startswith("instance 5: Unknown image file format")
