"""Clients that are slow, many, rude or gone: the server stays up, and says what it refuses."""

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.serve.tests.fuzz import resident_mb
from components.serve.tests.server_process import Server, start_server
from components.serve.tests.small_model import b64, photograph

pytestmark = pytest.mark.slow

LIMITS = {"max_body_bytes": 1_000_000, "body_seconds": 3.0}
BODY = json.dumps({"instances": [b64(photograph(1))]}).encode()
POST = b"POST /v1/models/flowers:predict HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /v1/models/flowers HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(scope="module")
def server(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("connections") / "log"
    server = start_server(base_dir, "flowers", log, "--settings", json.dumps(LIMITS))
    server.wait_until(server.serving)
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture(autouse=True)
def _still_answers(server: Server) -> Iterator[None]:
    yield
    with contextlib.closing(connected(server)) as connection:
        assert said(connection, sized(BODY)).startswith(b"HTTP/1.1 200 OK")
    assert server.process.poll() is None
    assert "Traceback" not in server.log.read_text()


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def sized(body: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def said(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    return connection.recv(10_000)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(10**6), b""))


ODD = {
    "both lengths": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}\n",
    "signed length": POST + b"Content-Length: +3\r\n\r\n{}\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n{}",
    "coding after chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded header": POST + b"X: a\r\n b\r\nContent-Length: 3\r\n\r\n{}\n",
    "lines without return": b"GET / HTTP/1.1\nHost: a\n\n",
    "zero byte": GET + b"X: a\0b\r\n\r\n",
    "chunk of no size": POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\n{}\n\r\n0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 40,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tunnel": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "bytes in the path": b"GET /v1/models/\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("request_", ODD.values(), ids=ODD.keys())
def test_what_two_readers_might_read_differently_is_refused(
    server: Server, request_: bytes
) -> None:
    with contextlib.closing(connected(server)) as connection:
        assert said(connection, request_).startswith(b"HTTP/1.1 400 Bad Request")


@pytest.mark.parametrize("head", [GET + b"X: " + b"a" * 10**6, GET + b"X-a: b\r\n" * 10**5])
def test_headers_without_end_are_cut_off(server: Server, head: bytes) -> None:
    with contextlib.closing(connected(server)) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head)
        with contextlib.suppress(ConnectionResetError):  # it goes on sending
            assert connection.recv(1000).startswith(b"HTTP/1.1 431 ")


def test_headers_that_do_not_come_are_not_waited_for(server: Server) -> None:
    with contextlib.closing(connected(server)) as connection:
        assert said(connection, GET + b"\r\n").startswith(b"HTTP/1.1 200 OK")
        connection.sendall(GET)
        for _ in range(2):  # a line now and then does not help
            time.sleep(0.3)
            connection.sendall(b"X-a: b\r\n")
        late = read_all(connection)  # after what may be left of the first answer
        assert b"HTTP/1.1 408 Request Timeout" in late
        assert b"the request's headers did not come within 3 seconds" in late


def test_trailers_have_an_end_too(server: Server) -> None:
    chunks = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: "
    with contextlib.closing(connected(server)) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < began + 10:
                connection.sendall(chunks if chunks else b"a" * 10_000)
                chunks = b""
        assert time.monotonic() - began < 5


def test_a_connection_that_asks_nothing_is_closed(server: Server) -> None:
    with contextlib.closing(connected(server)) as connection:
        assert connection.recv(1000) == b""


def test_a_thousand_idle_connections_keep_nobody_out(server: Server) -> None:
    with contextlib.ExitStack() as idle:
        for _ in range(1000):
            idle.enter_context(contextlib.closing(connected(server)))
        assert server.predict(BODY).status_code == 200


def test_connections_leave_files_for_the_server(server: Server) -> None:
    """With all files in use, no connection could be taken, and no version loaded."""
    soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (300, hard))
    try:
        with contextlib.ExitStack() as idle:
            for _ in range(180):
                last = idle.enter_context(contextlib.closing(connected(server)))
            assert read_all(last).startswith(b"HTTP/1.1 503 Service Unavailable")
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_who_does_not_read_is_cut_off(server: Server) -> None:
    body = json.dumps(
        {"signature_name": "xai_preprocess", "instances": [b64(photograph(1))] * 700}
    ).encode()

    def ask_and_read_late(connection: socket.socket) -> None:
        connection.sendall(sized(body) * 4)
        time.sleep(6)
        connection.settimeout(20)
        read_all(connection)

    with contextlib.closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        with pytest.raises(ConnectionResetError):
            ask_and_read_late(connection)


def test_bodies_have_a_limit_together(server: Server) -> None:
    memory = resident_mb(server)
    half = POST + b"Content-Length: 999999\r\n\r\n" + b" " * 900_000
    with contextlib.ExitStack() as halves:
        for _ in range(4):
            halves.enter_context(contextlib.closing(connected(server))).sendall(half)
        time.sleep(0.3)
        answer = server.predict(b" " * 900_000)
        assert answer.status_code == 429
        assert answer.json() == {"error": "the server is busy: try again in a second"}
    assert resident_mb(server) < memory + 50


def test_clients_that_vanish_are_forgotten(server: Server) -> None:
    busy = sized(json.dumps({"signature_name": "busy", "instances": [5]}).encode())
    parts = [busy[:-3], busy, sized(BODY), sized(BODY) * 20, GET, b"P", b""]
    for part in parts * 3:
        with contextlib.closing(connected(server)) as connection:
            connection.sendall(part)
            # With a reset, as of a client that is killed.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": [%s]}' % b",".join([b"1"] * 400_000), "400,000 instances, and 1,024 at"),
        (b'{"inputs": [%s]}' % b",".join([b"1"] * 400_000), "400,000 instances, and 1,024 at"),
    ],
)
def test_instances_are_counted_before_they_are_looked_at(
    server: Server, body: bytes, message: str
) -> None:
    answer = server.predict(body)
    assert answer.status_code == 413
    assert message in answer.json()["error"]


def test_json_of_too_many_lists_is_not_parsed() -> None:
    from components.serve.errors import RequestError
    from components.serve.protocols.json_request import parse_request
    from components.serve.protocols.v2_request import parse_v2

    body = b'{"instances": [%s]}' % (b"[]," * 8_000_000)
    for parse in (parse_request, lambda content: parse_v2(content, None, "flowers")):
        with pytest.raises(RequestError, match="more than 8,000,000 lists and objects") as caught:
            parse(body)
        assert caught.value.status == 413
