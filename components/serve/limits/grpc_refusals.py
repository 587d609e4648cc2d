"""The gRPC status of a request that is refused."""

import logging
from typing import Any

import grpc
from grpc import StatusCode
from grpc_interceptor.server import AsyncServerInterceptor
from kserve import errors as kserve_errors

from components.serve.errors import RequestError
from components.serve.telemetry.request_record import current_record

_LOG = logging.getLogger("darkroom.serve")

_LONGEST = 500
"""Characters of a message: it travels in a header, and may quote a name of any length."""

_OF_HTTP = {
    400: StatusCode.INVALID_ARGUMENT,
    408: StatusCode.DEADLINE_EXCEEDED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    415: StatusCode.INVALID_ARGUMENT,
    413: StatusCode.RESOURCE_EXHAUSTED,  # as gRPC's own for a message that is too large
    429: StatusCode.RESOURCE_EXHAUSTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}

_OF_KSERVE = {
    kserve_errors.InferenceError: StatusCode.INVALID_ARGUMENT,
    kserve_errors.InvalidInput: StatusCode.INVALID_ARGUMENT,
    kserve_errors.UnsupportedProtocol: StatusCode.INVALID_ARGUMENT,
    kserve_errors.ModelNotFound: StatusCode.NOT_FOUND,
    kserve_errors.ModelNotReady: StatusCode.UNAVAILABLE,
    kserve_errors.ServerNotLive: StatusCode.UNAVAILABLE,
    kserve_errors.ServerNotReady: StatusCode.UNAVAILABLE,
}


class GrpcRefusals(AsyncServerInterceptor):  # type: ignore[misc]
    """Gives each refusal its status and one line."""

    async def intercept(
        self, method: Any, request_or_iterator: Any, context: Any, method_name: str
    ) -> Any:
        """Handles a request."""
        try:
            answer = method(request_or_iterator, context)
            return answer if hasattr(answer, "__aiter__") else await answer
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            code, message = _refusal(error, method_name)
        # Not by `abort`: gRPC keeps its exception, and that all that the request held, in a cycle.
        context.set_code(code)
        context.set_details(message[:_LONGEST])
        return None


def _refusal(error: Exception, method_name: str) -> tuple[StatusCode, str]:
    if isinstance(error, RequestError):
        # Half a character, which a message may quote, cannot be written in a header.
        text = str(error).encode("utf-8", "backslashreplace").decode()
        return _OF_HTTP.get(error.status, StatusCode.UNKNOWN), text
    if isinstance(error, NotImplementedError):
        return StatusCode.UNIMPLEMENTED, str(error)
    for kind, code in _OF_KSERVE.items():
        if isinstance(error, kind):
            return code, str(error)
    _LOG.error("%s failed (%s)", method_name, current_record().request_id, exc_info=error)
    return StatusCode.INTERNAL, "the server failed; its log says why"
