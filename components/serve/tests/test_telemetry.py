"""What a server says of its requests: ids, the access log and traces."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from components.serve.telemetry.request_record import request_id
from components.serve.tests.noted_server import Collector
from components.serve.tests.server_process import Server
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import channel, request

pytestmark = pytest.mark.slow

IMAGE = {"instances": [b64(photograph(5)), b64(photograph(6))]}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


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
