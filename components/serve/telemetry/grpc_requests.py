"""Every gRPC call of one answer has an id, a line in the access log, and a span."""

import time
from typing import Any, NamedTuple

from grpc import StatusCode
from grpc_interceptor.server import AsyncServerInterceptor

from components.serve.telemetry.access_log import AccessLog
from components.serve.telemetry.request_record import RequestRecord, recorded
from components.serve.telemetry.tracing import request_span

_PROBES = ("/grpc.health.v1.Health/", "/grpc.reflection.")
_FAILURES = frozenset(
    {StatusCode.UNKNOWN, StatusCode.INTERNAL, StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED}
)


class _Metadatum(NamedTuple):
    """KServe takes an answer's metadata for the request's, and reads these attributes."""

    key: str
    value: str


class GrpcRequests(AsyncServerInterceptor):  # type: ignore[misc]
    """Notes each call but those of probes and of reflection.

    Args:
        access_log: Where lines go.
    """

    def __init__(self, access_log: AccessLog) -> None:
        self._access_log = access_log

    async def intercept(
        self, method: Any, request_or_iterator: Any, context: Any, method_name: str
    ) -> Any:
        """Handles a call."""
        if method_name.startswith(_PROBES):
            answer = method(request_or_iterator, context)
            return answer if hasattr(answer, "__aiter__") else await answer
        headers = [
            (key, text) for key, text in context.invocation_metadata() if isinstance(text, str)
        ]
        with recorded(headers) as record, request_span(method_name, record, headers):
            context.set_trailing_metadata((_Metadatum("x-request-id", record.request_id),))
            return await self._noted(method, request_or_iterator, context, method_name, record)

    async def _noted(
        self, method: Any, request: Any, context: Any, method_name: str, record: RequestRecord
    ) -> Any:
        began, code = time.perf_counter(), StatusCode.CANCELLED
        try:
            answer = await method(request, context)
            # A refusal is no exception here: `GrpcRefusals` sets the call's status.
            code = _status(context.code())
            return answer
        except Exception:
            code = _status(context.code() or StatusCode.UNKNOWN)
            raise
        finally:
            rpc = {"rpc": method_name.removeprefix("/")}
            self._access_log.note(record, rpc, code.name, code in _FAILURES, began)


def _status(code: StatusCode | int | None) -> StatusCode:
    """A call's status, which gRPC keeps as a number; OK where none was set."""
    if isinstance(code, StatusCode):
        return code
    return next(status for status in StatusCode if status.value[0] == (code or 0))
