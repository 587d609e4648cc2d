"""API keys: whoever asks for an answer names one of those in a file."""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from components.serve.asgi import Application, Message, Receive, Send
from components.serve.telemetry.metrics import note_refusal
from darkroom.errors import SettingsError
from darkroom.storage.atomic import os_reason

_OPEN_SERVICES = ("/grpc.health.v1.Health/",)
_REFUSAL = "no API key that this server knows: send the header 'Authorization: Bearer KEY'"


class ApiKeys:
    """The keys of a file, a line each; a file that changes is read again.

    Args:
        file: The file; empty lines and lines that begin with `#` are none.

    Raises:
        SettingsError: It cannot be read, or holds no key.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._read_at = 0
        self._digests: frozenset[bytes] = frozenset()
        try:
            self._read()
        except OSError as error:
            raise SettingsError(f"api_keys {file} cannot be read: {os_reason(error)}") from None
        except UnicodeDecodeError:
            raise SettingsError(f"api_keys {file} is no text") from None
        if not self._digests:
            raise SettingsError(f"api_keys {file} holds no key")

    def _read(self) -> None:
        changed = self._file.stat().st_mtime_ns
        if changed == self._read_at:
            return
        lines = (line.strip() for line in self._file.read_text(encoding="utf-8").splitlines())
        keys = [line for line in lines if line and not line.startswith("#")]
        self._digests = frozenset(_digest(key.encode()) for key in keys)
        self._read_at = changed

    def accepts(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether headers name a key, as `Authorization: Bearer KEY` or `X-API-Key: KEY`."""
        # Where the file cannot be read, the keys that were read last hold.
        with contextlib.suppress(OSError, UnicodeDecodeError):
            self._read()
        for name, value in headers:
            kind, _, key = value.partition(b" ")
            if name.lower() == b"authorization" and kind.lower() == b"bearer":
                given = key.strip()
            elif name.lower() == b"x-api-key":
                given = value.strip()
            else:
                continue
            # By digests, so that the time it takes tells nothing of a key.
            if _digest(given) in self._digests:
                return True
        return False


class RequireKey:
    """Refuses requests without a key, before their bodies are read.

    Args:
        application: The application.
        keys: The keys.
        open_paths: Those that need none.
    """

    def __init__(self, application: Application, keys: ApiKeys, open_paths: frozenset[str]) -> None:
        self._application, self._keys, self._open = application, keys, open_paths

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http" or scope["path"] in self._open:
            await self._application(scope, receive, send)
            return
        if self._keys.accepts(scope["headers"]):
            await self._application(scope, receive, send)
            return
        note_refusal(401)
        headers = [
            (b"content-type", b"application/json"),
            (b"www-authenticate", b"Bearer"),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        body = json.dumps({"error": _REFUSAL}).encode()
        await send({"type": "http.response.body", "body": body})


def grpc_interceptor(keys: ApiKeys) -> Any:
    """Refuses calls without a key in their metadata, but those of health checks."""
    import grpc

    async def refuse(_request: Any, context: Any) -> None:
        note_refusal(401)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, _REFUSAL)

    class Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            given = [
                (name.encode(), value if isinstance(value, bytes) else value.encode())
                for name, value in details.invocation_metadata
            ]
            handler = await continuation(details)
            if details.method.startswith(_OPEN_SERVICES) or keys.accepts(given) or handler is None:
                return handler
            # As a stream, of which no message is read.
            if handler.response_streaming:
                kind = grpc.stream_stream_rpc_method_handler
            else:
                kind = grpc.stream_unary_rpc_method_handler
            return kind(refuse, handler.request_deserializer, handler.response_serializer)

    return Interceptor()


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
