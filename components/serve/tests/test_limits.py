"""No client takes more of the server than its share, and none reads its files."""

import concurrent.futures
import io
import json
import os
import signal
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import kserve
import numpy as np
import pytest

from components.serve.tests.server_process import Server, start_server
from components.serve.tests.small_model import b64, photograph
from darkroom.image_headers import image_size

pytestmark = pytest.mark.slow

LIMITS = {
    "max_body_bytes": 200_000,
    "max_pixels": 100_000,
    "max_instances": 5,
    "max_requests": 3,
    "body_seconds": 3.0,
    "answer_seconds": 5.0,
}


@pytest.fixture(scope="module")
def limited(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("limited") / "log"
    server = start_server(base_dir, "flowers", log, "--settings", json.dumps(LIMITS))
    server.wait_until(lambda: server.state() == (200, "AVAILABLE"))
    yield server
    server.process.kill()
    server.process.wait()


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes and many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def refused(response: httpx.Response, status: int, message: str) -> None:
    assert response.status_code == status, response.text
    assert message in response.json()["error"]


def test_pixels_are_counted_before_they_are_decoded(limited: Server) -> None:
    began = time.monotonic()
    refused(
        limited.predict({"instances": [b64(bomb(20_000, 20_000))]}), 413, "more than 100,000 pix"
    )
    assert time.monotonic() - began < 2
    fits = {"instances": [b64(photograph(1))]}
    assert limited.predict(fits).status_code == 200
    many = [b64(bomb(200, 200))] * 3
    refused(limited.predict({"instances": many}), 413, "more than 100,000 pixels")


def test_bodies_and_batches_have_an_end(limited: Server) -> None:
    refused(limited.predict(b"x" * 300_000), 413, "the body is over 200,000 bytes")
    url = f"/v1/models/{limited.name}:predict"
    chunks = (b"x" * 50_000 for _ in range(10))
    refused(limited.client.post(url, content=chunks), 413, "the body is over 200,000 bytes")
    small = b64(photograph(1))
    refused(limited.predict({"instances": [small] * 6}), 413, "6 instances, and 5 at most")


def half_request(server: Server) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = (
        f"POST /v1/models/{server.name}:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n"
    )
    connection.sendall(head.encode() + b'{"inst')
    return connection


def test_a_body_that_does_not_come_is_not_waited_for(limited: Server) -> None:
    with half_request(limited) as connection:
        connection.settimeout(10)
        assert b"408" in connection.recv(1000)


def test_a_refused_client_keeps_its_connection(limited: Server) -> None:
    def ask(_: int) -> list[int]:
        with httpx.Client(base_url=str(limited.client.base_url), timeout=60) as client:
            path, body = f"/v1/models/{limited.name}:predict", {"instances": [b64(photograph(1))]}
            answers: list[httpx.Response] = []
            while len(answers) < 300 and (not answers or answers[-1].status_code == 429):
                answers.append(client.post(path, json=body))
                connections.add(answers[-1].extensions["network_stream"].get_extra_info("socket"))
            return [answer.status_code for answer in answers]

    connections: set[Any] = set()
    slow = {"signature_name": "busy", "instances": [40]}
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        busy = [threads.submit(limited.predict, slow) for _ in range(6)]
        statuses = list(threads.map(ask, range(2)))
        for each in busy:
            each.result()
    assert any(429 in found for found in statuses)
    assert len(connections) == 2


def test_a_busy_server_says_so(limited: Server) -> None:
    slow = {"signature_name": "busy", "instances": [40]}

    def ask(_: int) -> httpx.Response:
        with httpx.Client(base_url=str(limited.client.base_url), timeout=60) as client:
            return client.post(f"/v1/models/{limited.name}:predict", json=slow)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
        busy = [answer for answer in answers if answer.status_code == 429]
    assert busy
    assert {answer.status_code for answer in answers} <= {200, 429, 503}
    assert busy[0].headers["retry-after"] == "1"
    assert limited.state() == (200, "AVAILABLE")


def test_an_answer_that_takes_too_long_is_given_up(limited: Server) -> None:
    endless = {"signature_name": "busy", "instances": [3000]}
    refused(limited.predict(endless), 503, "no answer within 5 seconds")


def test_files_are_read_below_allowed_folders_only(server: Server, tmp_path: Path) -> None:
    def answer(name: Any) -> httpx.Response:
        return server.predict({"signature_name": "from_filenames", "instances": [str(name)]})

    photo = tmp_path / "a.jpg"
    photo.write_bytes(photograph(1))
    assert answer(photo).status_code == 200
    link = tmp_path / "link.jpg"
    link.symlink_to("/etc/hostname")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    outside = f"{tmp_path}/../../../../../../../etc/hostname"
    for name in (
        "/dev/zero",
        "/etc/hostname",
        "gs://bucket/a.jpg",
        "s3://b/c",
        link,
        pipe,
        outside,
    ):
        refused(answer(name), 403, "this server reads no files for its clients")
    refused(answer(tmp_path / "none.jpg"), 400, "No such file")


def test_a_half_sent_request_does_not_outlast_a_pod(base_dir: Path, tmp_path: Path) -> None:
    """Kubernetes kills 30 seconds after SIGTERM."""
    server = start_server(base_dir, "flowers", tmp_path / "log")
    server.wait_until(lambda: server.state() == (200, "AVAILABLE"))
    with half_request(server):
        time.sleep(0.3)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    assert time.monotonic() - began < 25


def test_only_this_machine_is_listened_to(server: Server) -> None:
    port = f":{server.port:04X} "
    listening = [line for line in Path("/proc/net/tcp").read_text().splitlines() if port in line]
    assert listening
    assert all(" 0100007F:" in line for line in listening)


SURROGATE = "\ud800"
V2_REQUESTS = {
    "half a character": {
        "inputs": [{"name": SURROGATE, "shape": [1], "datatype": "BYTES", "data": ["a"]}]
    },
    "half a character as data": {
        "inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [SURROGATE]}]
    },
    "half a character as datatype": {
        "inputs": [{"name": "image_bytes", "shape": [1], "datatype": SURROGATE, "data": ["a"]}]
    },
    "no inputs": {},
    "inputs no list": {"inputs": 3},
    "shape of text": {
        "inputs": [{"name": "image_bytes", "shape": ["a"], "datatype": "BYTES", "data": []}]
    },
    "negative shape": {
        "inputs": [{"name": "image_bytes", "shape": [-7], "datatype": "BYTES", "data": ["a"]}]
    },
    "objects": {
        "inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [{"a": 1}]}]
    },
}


@pytest.mark.parametrize("body", V2_REQUESTS.values(), ids=V2_REQUESTS.keys())
def test_a_wrong_v2_request_is_a_400(server: Server, body: Any) -> None:
    content = json.dumps(body).encode()
    response = server.client.post(f"/v2/models/{server.name}/infer", content=content)
    assert response.status_code == 400, response.text
    assert len(response.json()["error"]) < 300


def test_lists_in_lists_are_a_400(server: Server) -> None:
    for depth in (900, 100_000):
        data = b"[" * depth + b"]" * depth
        body = (
            b'{"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": %s}]}'
        )
        response = server.client.post(f"/v2/models/{server.name}/infer", content=body % data)
        assert response.status_code == 400, response.text
        response = server.predict(b'{"instances": %s}' % data)
        assert response.status_code == 400, response.text


def test_kserves_own_client_sends_images_over_rest(server: Server) -> None:
    """As binary tensors, which follow the JSON."""
    tensor = kserve.InferInput("image_bytes", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([photograph(1)], dtype=object), binary_data=True)
    body, length = kserve.InferRequest(server.name, [tensor]).to_rest()
    headers = {"inference-header-content-length": str(length)}
    url = f"/v2/models/{server.name}/infer"
    answer = server.client.post(url, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    expected = server.predict({"instances": [b64(photograph(1))]}).json()["predictions"][0]
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert outputs["probabilities"] == pytest.approx(expected["probabilities"])
    for wrong in ("-1", "x", "99999999"):
        headers = {"inference-header-content-length": wrong}
        assert server.client.post(url, content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_other_verbs_are_answered_in_tf_servings_form(server: Server, verb: str) -> None:
    response = server.client.post(f"/v1/models/{server.name}:{verb}", json={"examples": []})
    refused(response, 400, "for predict, not for classify or regress")
    refused(server.client.get("/v1/nothing"), 404, "Not Found")


def test_headers_say_how_large_a_picture_is() -> None:
    from PIL import Image

    picture = Image.new("RGB", (70, 50))
    for file_format in ("JPEG", "PNG", "GIF", "BMP", "WEBP"):
        for options in ({}, {"lossless": True}, {"quality": 30}):
            buffer = io.BytesIO()
            picture.save(buffer, file_format, **options)
            assert image_size(buffer.getvalue()) == (70, 50), file_format
    frames = [Image.new("L", (70, 50), n * 20) for n in range(4)]
    for file_format in ("GIF", "WEBP"):
        buffer = io.BytesIO()
        frames[0].save(buffer, file_format, save_all=True, append_images=frames[1:])
        width, height = image_size(buffer.getvalue()) or (0, 0)
        assert width == 70
        assert height > 50
    assert image_size(b"") is image_size(b"MM\0*") is None


def test_a_jpeg_hides_its_size_from_no_limit() -> None:
    """libjpeg passes over what is between segments, and so does the check."""
    import tensorflow as tf
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (70, 50)).save(buffer, "JPEG")
    jpeg = buffer.getvalue()
    for between in (
        b"\xff\xff",
        b"\xff\x01",
        b"\xff\xd0",
        b"abc",
        b"\0",
        b"\xff\0",
        b"\xff\xe5\0\0",
    ):
        for place in (2, 20):  # before the first segment, which is of 18 bytes, and after it
            hidden = jpeg[:place] + between + jpeg[place:]
            if not hidden.startswith(b"\xff\xd8\xff"):
                continue  # no JPEG to TensorFlow either
            assert tf.io.decode_jpeg(hidden).shape == (50, 70, 3)
            assert image_size(hidden) == (70, 50), between


def test_jpeg_xl_whose_size_is_not_known_is_refused(server: Server) -> None:
    for start in (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"):
        refused(
            server.predict({"instances": [b64(start + bytes(40))]}), 415, "JPEG XL is not taken"
        )
