"""Servers that keep the messages they are sent: one of HTTP, one of SMTP."""

import base64
import email
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest


class WebServer(http.server.ThreadingHTTPServer):
    """Keeps what it is sent, and answers with the next of its statuses, the last for ever."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), WebHandler)
        self.statuses = list(statuses)
        self.messages: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/T0KEN"


class WebHandler(http.server.BaseHTTPRequestHandler):
    server: WebServer

    def do_POST(self) -> None:
        assert self.headers["Content-Type"] == "application/json"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.append(json.loads(body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


class MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP as one e-mail needs."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.login = ""
        self.mails: list[Message] = []
        self.receivers: list[str] = []


class MailHandler(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 test")
        while line := self.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "EHLO":
                self._say("250-test\r\n250 AUTH PLAIN")
            elif verb == "AUTH":
                self.server.login = base64.b64decode(line.split()[2]).decode()
                self._say("235 ok")
            elif verb == "DATA":
                self._say("354 go on")
                self._take_mail()
                self._say("250 ok")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                if verb == "RCPT":
                    self.server.receivers.append(line.partition(":")[2].strip("<>"))
                self._say("250 ok")

    def _take_mail(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        self.server.mails.append(email.message_from_bytes(b"".join(lines)))

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


def serving(server: socketserver.BaseServer) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A web server, whose address is in the environment variable HOOK."""
    server = WebServer(200)
    monkeypatch.setenv("HOOK", server.address)
    yield from serving(server)


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A mail server."""
    yield from serving(MailServer())
