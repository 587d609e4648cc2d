"""Bytes that are no message of a gRPC method: the client's fault, and no failure in the log."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from grpc import StatusCode
from grpc_interceptor.server import AsyncServerInterceptor

_MESSAGE = "the bytes are no message of the type that this method takes"


class _Unreadable:
    """Stands for a message that could not be parsed, where gRPC itself would say UNKNOWN."""


class ReadableMessages(AsyncServerInterceptor):  # type: ignore[misc]
    """Refuses what cannot be parsed with INVALID_ARGUMENT."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Lets a method's parser give `_Unreadable` where it would raise."""
        handler = await super().intercept_service(continuation, details)
        if handler is None or handler.request_deserializer is None:
            return handler
        return handler._replace(request_deserializer=_tolerant(handler.request_deserializer))

    async def intercept(
        self, method: Any, request_or_iterator: Any, context: Any, _method_name: str
    ) -> Any:
        """Handles a request."""
        if isinstance(request_or_iterator, _Unreadable):
            await context.abort(StatusCode.INVALID_ARGUMENT, _MESSAGE)
        if hasattr(request_or_iterator, "__aiter__"):
            request_or_iterator = _readable(request_or_iterator, context)
        answer = method(request_or_iterator, context)
        return answer if hasattr(answer, "__aiter__") else await answer


def _tolerant(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(content: bytes) -> Any:
        try:
            return parse(content)
        except Exception:  # protobuf's, which differ with its implementation
            return _Unreadable()

    return parsed


async def _readable(messages: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    async for message in messages:
        if isinstance(message, _Unreadable):
            await context.abort(StatusCode.INVALID_ARGUMENT, _MESSAGE)
        yield message
