"""Limits of what one client may take: bytes, time, and a share of the server."""

import asyncio
import contextlib
import json
from collections.abc import Iterator

from components.serve.asgi import Application, Message, Receive, Send
from components.serve.errors import RequestError
from components.serve.limits.gone_clients import noticing_gone_client
from components.serve.settings import ServeSettings
from components.serve.telemetry.metrics import note_refusal

METHODS = (b"POST", b"PUT", b"PATCH")
"""Of requests with a body, which alone count."""
_LARGEST_BODIES = 4
"""Bodies of the largest size that may be in memory, or as many bytes of smaller ones; else 429."""


class OpenRequests:
    """Counts the requests that are read, wait or are answered, at all doors of the server.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0

    def are_full(self) -> bool:
        """Whether one more would be refused."""
        return self._count >= self._most

    def is_idle(self) -> bool:
        """Whether there are none."""
        return self._count == 0

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """Counts a request as long as the block lasts.

        Raises:
            RequestError: There are as many as there may be.
        """
        if self.are_full():
            raise _busy()
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


def no_answer(settings: ServeSettings) -> str:
    """What is wrong with a request whose answer takes too long."""
    return f"no answer within {settings.answer_seconds:g} seconds: send fewer photographs"


class Limits:
    """An ASGI middleware that answers 413, 408, 429 or 503 before a model is asked.

    Health checks and metrics are always answered: only requests with a body count.

    Args:
        application: The application.
        settings: The limits.
        open_requests: Counts the requests.
    """

    def __init__(
        self, application: Application, settings: ServeSettings, open_requests: OpenRequests
    ) -> None:
        self._application, self._settings = application, settings
        self._open_requests = open_requests
        self._held = 0
        """Bytes of all bodies that are in memory."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http" or scope["method"].encode() not in METHODS:
            await self._application(scope, receive, send)
            return
        parts: list[bytes] = []
        try:
            with self._open_requests.one_more():
                await self._within_limits(scope, receive, send, parts)
        except RequestError as refused:
            await _answer(send, refused)
        finally:
            self._held -= sum(map(len, parts))

    async def _within_limits(
        self, scope: Message, receive: Receive, send: Send, parts: list[bytes]
    ) -> None:
        settings = self._settings
        body = await self._body(scope, receive, parts)
        begun, given = False, False

        async def whole_body() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def note_begin(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(settings.answer_seconds):
                with noticing_gone_client(receive):
                    await self._application(scope, whole_body, note_begin)
        except TimeoutError:
            if begun:
                raise
            raise RequestError(no_answer(settings), status=503) from None
        except asyncio.CancelledError:
            if begun:
                raise
            raise _ending() from None

    async def _body(self, scope: Message, receive: Receive, parts: list[bytes]) -> bytes:
        """The body, read in parts to its end or to a limit."""
        settings = self._settings
        limit = settings.max_body_bytes
        stated = dict(scope["headers"]).get(b"content-length", b"")
        if stated.isdigit() and int(stated) > limit:
            raise _too_large(limit)
        size = 0
        try:
            async with asyncio.timeout(settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RequestError("the client has gone")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    self._held += len(parts[-1])
                    if size > limit:
                        raise _too_large(limit)
                    if self._held > _LARGEST_BODIES * limit:
                        raise _busy()
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            seconds = settings.body_seconds
            raise RequestError(
                f"the body did not come within {seconds:g} seconds", status=408
            ) from None
        except asyncio.CancelledError:
            raise _ending() from None


def _ending() -> RequestError:
    """What is said to those whom uvicorn cuts off when the time to end is over."""
    return RequestError("the server has ended: ask another, or again", status=503)


def _busy() -> RequestError:
    return RequestError("the server is busy: try again in a second", status=429)


def _too_large(limit: int) -> RequestError:
    message = f"the body is over {limit:,} bytes: send fewer photographs"
    return RequestError(message, status=413)


def busy_answer(keeps_connection: bool) -> bytes:
    """Headers and body of the answer that is given before there is a request.

    Args:
        keeps_connection: Whether further requests may come. Of a busy server's clients each would
            have to connect again, and those that do wait for seconds once the backlog is full.
    """
    body = json.dumps({"error": str(_busy())}).encode()
    lines = [
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"retry-after: 1",
        *([] if keeps_connection else [b"connection: close"]),
    ]
    return b"\r\n".join([*lines, b"", body])


async def _answer(send: Send, refused: RequestError) -> None:
    note_refusal(refused.status)
    body = json.dumps({"error": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    # The body may still come: of a busy server's clients it is let pass, as by `busy_answer`.
    busy = refused.status == 429
    headers.append((b"retry-after", b"1") if busy else (b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
