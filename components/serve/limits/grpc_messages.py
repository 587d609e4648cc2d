"""Predictions over gRPC count before their message is read, as bodies over REST do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from components.serve.errors import RequestError
from components.serve.limits.rest_limits import OpenRequests, no_answer
from components.serve.settings import ServeSettings
from components.serve.telemetry.metrics import note_refusal
from components.serve.telemetry.request_record import current_record

_PREDICT = frozenset(
    {"/tensorflow.serving.PredictionService/Predict", "/inference.GRPCInferenceService/ModelInfer"}
)
"""The methods that count; the others take next to nothing and are always answered."""


class BoundedMessages(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Counts and times predictions, from before their message is read.

    gRPC reads the message of a unary call before it asks for the handler. Of a stream it reads what
    it is asked for; on the wire, a unary call is a stream of one message.

    Args:
        settings: The limits.
        open_requests: Counts the requests.
    """

    def __init__(self, settings: ServeSettings, open_requests: OpenRequests) -> None:
        self._settings, self._open_requests = settings, open_requests

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Gives a handler that reads its message itself."""
        handler = await continuation(details)
        if handler is None or details.method not in _PREDICT:
            return handler

        async def read_and_answer(messages: AsyncIterator[bytes], context: Any) -> bytes:
            with contextlib.ExitStack() as answered:
                try:
                    answered.enter_context(self._open_requests.one_more())
                    message = await self._read(messages)
                except RequestError as refused:
                    note_refusal(refused.status)
                    raise
                record = current_record()
                record.request_bytes = len(message)
                request = handler.request_deserializer(message)
                answer: bytes = handler.response_serializer(
                    await self._answer(handler.unary_unary, request, context)
                )
            record.answer_bytes = len(answer)
            return answer

        return grpc.stream_unary_rpc_method_handler(read_and_answer)

    async def _read(self, messages: AsyncIterator[bytes]) -> bytes:
        seconds = self._settings.body_seconds
        try:
            async with asyncio.timeout(seconds):
                return await anext(messages)
        except StopAsyncIteration:
            # It is over the limit, or there is none: gRPC has told the client, and takes no answer.
            note_refusal(413)
            raise asyncio.CancelledError from None
        except TimeoutError:
            raise RequestError(
                f"the message did not come within {seconds:g} seconds", status=408
            ) from None

    async def _answer(self, method: Any, request: Any, context: Any) -> Any:
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                return await method(request, context)
        except TimeoutError:
            note_refusal(503)
            raise RequestError(no_answer(self._settings), status=504) from None
