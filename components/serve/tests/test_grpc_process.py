"""gRPC's limits and health checks, at servers of their own."""

import concurrent.futures
import contextlib
import json
import queue
import threading
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from components.serve.tests.server_process import Server, free_port, start_server
from components.serve.tests.small_model import photograph
from components.serve.tests.test_limits import bomb
from components.serve.tests.tf_serving_client import channel, predict, refused, request

pytestmark = pytest.mark.slow

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
LIMITS = {
    "max_body_bytes": 200_000,
    "max_pixels": 100_000,
    "max_instances": 5,
    "max_requests": 3,
}


@pytest.fixture
def start(base_dir: Path, tmp_path: Path):
    """Starts a server, and does not wait until it has loaded anything."""
    started = []

    def start(**limits: float) -> Server:
        port = free_port()
        options = ["--grpc-port", str(port), "--settings", json.dumps(limits)]
        server = start_server(base_dir, "flowers", tmp_path / "log", *options)
        server.grpc_port = port
        started.append(server)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()


def busy(rounds: int) -> Any:
    return request("flowers", "busy", rounds=np.array([rounds], np.int32))


def test_limits_then_a_health_check_through_the_end(start):
    server = start(**LIMITS)
    server.wait_until(lambda: server.state() == (200, "AVAILABLE"))
    image = photograph(1)
    too_much = StatusCode.RESOURCE_EXHAUSTED
    with refused(too_much, "larger than max (300"):
        predict(server, request("flowers", image_bytes=[b"x" * 300_000]))
    with refused(too_much, "6 instances, and 5 at most"):
        predict(server, request("flowers", image_bytes=[image] * 6))
    with refused(too_much, "more than 100,000 pixels"):
        predict(server, request("flowers", image_bytes=[bomb(20_000, 20_000)]))

    def ask(_: int) -> StatusCode:
        try:
            predict(server, busy(40))
        except grpc.RpcError as error:
            return error.code()
        return StatusCode.OK

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(ask, range(8)))
    assert set(codes) <= {StatusCode.OK, too_much}
    assert too_much in codes

    states: queue.Queue[int | None] = queue.Queue()

    def watch(opened: Any) -> None:
        for state in HealthStub(opened).Watch(HealthCheckRequest()):
            states.put(state.status)
        states.put(None)

    with channel(server) as opened, channel(server) as other:
        check = HealthStub(opened).Check
        assert check(HealthCheckRequest()).status == SERVING
        name = "tensorflow.serving.PredictionService"
        assert check(HealthCheckRequest(service=name)).status == SERVING
        with refused(StatusCode.NOT_FOUND, "unknown service 'other'"):
            check(HealthCheckRequest(service="other"))
        watcher = threading.Thread(target=watch, args=(other,))
        watcher.start()
        assert states.get(timeout=10) == SERVING
        with concurrent.futures.ThreadPoolExecutor() as threads:
            slow = threads.submit(predict, server, busy(40))
            server.wait_until(slow.running)
            threading.Event().wait(0.5)
            server.process.terminate()
            assert states.get(timeout=10) == NOT_SERVING
            assert states.get(timeout=10) is None
            assert slow.result(30).model_spec.version.value == 3
        watcher.join(10)
    assert server.process.wait(30) == 0
    assert "Traceback" not in server.log.read_text()


def test_it_is_not_healthy_until_a_version_is_loaded(start):
    server = start(answer_seconds=3)
    image = request("flowers", image_bytes=[photograph(1)])

    def healthy() -> bool:
        with channel(server) as opened:
            answer = HealthStub(opened).Check.future(HealthCheckRequest(), 5)
            error = answer.exception()
        if error is not None:
            assert error.code() == StatusCode.UNAVAILABLE  # the port is not open yet
            return False
        return answer.result().status == SERVING

    answered = False
    while not healthy():
        assert not answered
        assert server.process.poll() is None
        with contextlib.suppress(grpc.RpcError):
            predict(server, image)
            answered = True
    predict(server, image)
    with refused(StatusCode.DEADLINE_EXCEEDED, "no answer within 3 seconds"):
        predict(server, busy(3000))
