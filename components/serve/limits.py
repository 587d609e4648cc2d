"""Limits of what one client may take: bytes, time, and a share of the server."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from components.serve.settings import ServeSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Limits:
    """An ASGI middleware that answers 413, 408, 429 or 503 before a model is asked.

    Health checks and metrics are always answered: only requests with a body count.

    Args:
        application: The application.
        settings: The limits.
    """

    def __init__(self, application: Application, settings: ServeSettings) -> None:
        self._application, self._settings = application, settings
        self._requests = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._application(scope, receive, send)
            return
        self._requests += 1
        try:
            await self._within_limits(scope, receive, send)
        except _RefusedError as refused:
            await _answer(send, refused)
        finally:
            self._requests -= 1

    async def _within_limits(self, scope: Message, receive: Receive, send: Send) -> None:
        settings = self._settings
        if self._requests > settings.max_requests:
            raise _RefusedError(429, "the server is busy: try again in a second")
        body = await self._body(scope, receive)
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
                await self._application(scope, whole_body, note_begin)
        except TimeoutError:
            if begun:
                raise
            raise _RefusedError(
                503, f"no answer within {settings.answer_seconds:g} seconds: send fewer photographs"
            ) from None

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        """The body, read to its end or to a limit."""
        settings = self._settings
        limit = settings.max_body_bytes
        stated = dict(scope["headers"]).get(b"content-length", b"")
        if stated.isdigit() and int(stated) > limit:
            raise _too_large(limit)
        parts, size = [], 0
        try:
            async with asyncio.timeout(settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _RefusedError(400, "the client has gone")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise _too_large(limit)
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            seconds = settings.body_seconds
            raise _RefusedError(408, f"the body did not come within {seconds:g} seconds") from None


def _too_large(limit: int) -> _RefusedError:
    return _RefusedError(413, f"the body is over {limit:,} bytes: send fewer photographs")


async def _answer(send: Send, refused: _RefusedError) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refused.status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    body = json.dumps({"error": str(refused)}).encode()
    await send({"type": "http.response.body", "body": body})
