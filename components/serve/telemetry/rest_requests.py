"""Every request over REST has an id, a line in the access log, and a span."""

import time

from components.serve.asgi import Application, Message, Receive, Send
from components.serve.telemetry.access_log import AccessLog
from components.serve.telemetry.request_record import recorded
from components.serve.telemetry.tracing import request_span

_ID_HEADER = b"x-request-id"


class RestRequests:
    """An ASGI middleware that notes each request but those of probes.

    Args:
        application: The application.
        access_log: Where lines go.
        probes: Paths of requests that are not noted.
    """

    def __init__(
        self, application: Application, access_log: AccessLog, probes: frozenset[str]
    ) -> None:
        self._application, self._access_log, self._probes = application, access_log, probes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http" or scope["path"] in self._probes:
            await self._application(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def counted_receive() -> Message:
            message = await receive()
            record.request_bytes += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                identity = (_ID_HEADER, record.request_id.encode())
                message = {**message, "headers": [*message.get("headers", ()), identity]}
            record.answer_bytes += len(message.get("body", b""))
            await send(message)

        headers = [
            (name.decode("latin-1"), text.decode("latin-1")) for name, text in scope["headers"]
        ]
        method, path = scope["method"], scope["path"]
        with recorded(headers) as record, request_span(f"{method} {path}", record, headers):
            try:
                await self._application(scope, counted_receive, counted_send)
            finally:
                # A server that still loads is no failure to those who look whether it does.
                failed = status >= 500 and method != "GET"
                door = {"method": method, "path": path}
                self._access_log.note(record, door, status, failed, began)
