"""What a REST connection may take before there is a request, and after its answer.

Uvicorn waits without end for a request's head, of any size, and for a client that does not read.
A server that is busy refuses requests here already, by their heads: so a refusal takes a tenth of
the time that it takes behind the application, which those that are accepted would wait for.
"""

import asyncio
import json
import resource

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from components.serve.limits.rest_limits import METHODS, OpenRequests, busy_answer
from components.serve.settings import ServeSettings
from components.serve.telemetry.metrics import note_refusal

_HEAD_BYTES = 64 * 1024
"""Bytes of a request's line and headers, at most; also of what follows its body."""
_MOST_FILES = 65536
"""Files that the process may open, connections among them, where the system lets it."""
_OTHER_FILES = 512
"""Of those, what is kept for models, logs, gRPC, and connections that are about to be refused."""
_BACKLOG = 128
"""Connections that are taken at once: few enough that these files suffice for them."""


def bound_connections(
    config: uvicorn.Config, settings: ServeSettings, open_requests: OpenRequests
) -> None:
    """Lets uvicorn take no more of a connection than it should, and of connections.

    Args:
        config: Uvicorn's, not loaded yet.
        settings: How long a client may take.
        open_requests: Says whether one more may be read.
    """

    class Connection(_BoundedConnection):
        seconds = settings.body_seconds
        requests = open_requests

    config.http, config.backlog = Connection, _BACKLOG
    # What a shell gives, 1,024 as a rule, is what programs of old can handle.
    files, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, min(allowed, _MOST_FILES)), allowed))


class _BoundedConnection(HttpToolsProtocol):
    seconds: float
    requests: OpenRequests
    _is_refused = False
    """Whether the request whose body is coming has its answer."""
    _timer: asyncio.TimerHandle | None = None
    _received = 0
    """Bytes since the parser last came to something, such as the end of the head."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _most_connections():
            self._refuse(503, "too many connections: try again in a second")
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        if self._received > _HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"the request's headers are over {_HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._received = 0
        self._cancel_timer()
        answers_nobody = self.cycle is None or self.cycle.response_complete
        if answers_nobody and self.requests.are_full() and self.parser.get_method() in METHODS:
            self._refuse_request()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._received = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._received = 0
        if not self._is_refused:
            super().on_message_complete()
            return
        self._is_refused = False
        self._expect_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_reading(self.transport.get_write_buffer_size())

    def _refuse_request(self) -> None:
        """Answers a request by its head, and lets its body pass, within the time for it."""
        note_refusal(429)
        # Whoever waits to be told to send the body, sends none.
        keeps = self.parser.should_keep_alive() and not self.expect_100_continue
        self.transport.write(STATUS_LINE[429] + busy_answer(keeps))
        if not keeps:
            self.transport.close()
            return
        self._is_refused = True
        self._expect_head()
        self._expect_reading(self.transport.get_write_buffer_size())

    def _expect_head(self) -> None:
        self._cancel_timer()
        self._timer = self.loop.call_later(self.seconds, self._head_is_late)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self._received:
            self._refuse(408, f"the request's headers did not come within {self.seconds:g} seconds")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answers and closes; where another answer is on its way, closes alone."""
        note_refusal(status)
        self._cancel_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        body = json.dumps({"error": message}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head % len(body) + body)
        self.transport.close()

    def _expect_reading(self, unread: int) -> None:
        """Cuts off a client that reads nothing of its answer, which would stay in memory."""

        def check() -> None:
            left = self.transport.get_write_buffer_size()
            if left >= unread:
                self.transport.abort()
            else:
                self._expect_reading(left)

        if unread:
            self.loop.call_later(self.seconds, check)


def _most_connections() -> int:
    """How many connections there may be: with all files in use nobody could connect."""
    files: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(files - _OTHER_FILES, files // 2)
