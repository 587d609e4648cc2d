"""What a client that goes, or that is refused, takes of a server."""

import concurrent.futures
import contextlib
import io
import os
import threading
import time
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from PIL import Image

from components.serve.tests.server_process import Server
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import channel, predict, refused, request

pytestmark = pytest.mark.slow

IMAGE = {"instances": [b64(photograph(5)), b64(photograph(6))]}


def test_grpcs_refusals_are_counted(traced: Server) -> None:
    def refusals() -> float:
        lines = traced.client.get("/metrics").text.splitlines()
        name = 'darkroom_refused_requests_total{status="429"} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

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

    def calls() -> float:
        lines = traced.client.get("/metrics").text.splitlines()
        name = "darkroom_call_instances_count{"
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def further_calls(before: float) -> float:
        """Once there are no more."""
        seen = before - 1
        while seen != (now := calls()):
            seen = now
            time.sleep(0.3)
        return seen - before

    images = [_large_photograph()] * 600
    body = {"instances": [*map(b64, images)]}
    before, began = calls(), time.monotonic()
    assert len(traced.predict(body).json()["predictions"]) == 600
    seconds = time.monotonic() - began
    assert further_calls(before) == 300
    before = calls()
    url = f"http://127.0.0.1:{traced.port}/v1/models/flowers:predict"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=body, timeout=seconds / 4)
    assert further_calls(before) < 250
    before = calls()
    with pytest.raises(grpc.RpcError):
        predict(traced, request("flowers", image_bytes=images), seconds / 4)
    assert further_calls(before) < 250


def _large_photograph() -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=50)
    return file.getvalue()


def test_a_bad_photograph_of_a_large_request_is_named(traced: Server) -> None:
    photographs = [photograph(1)] * 5 + [b"no photograph"] + [photograph(1)] * 5
    response = traced.predict({"instances": [*map(b64, photographs)]})
    assert response.status_code == 400
    assert response.json()["error"].startswith("instance 5: Unknown image file format")
