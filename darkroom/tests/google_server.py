"""A stand-in for one of Google's services over TLS: its methods are those of a library's protos.

It takes only tokens that are signed with its account's key, and can be made to fail.
"""

import collections
import dataclasses
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import grpc
from google.auth import jwt
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

Method = tuple[Any, Callable[[Any], Any]]
"""What a method takes, and what does it."""


class RefusedError(Exception):
    """What a call is answered with instead of a result."""

    def __init__(self, code: grpc.StatusCode, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.reason = code, message, reason


def require(met: Any, field: str) -> None:
    """Refuses a request whose field is not as it must be."""
    if not met:
        raise RefusedError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"List of found errors:\t1.Field: {field}; Message: Required field is not set or "
            "wrong.\t",
        )


def under(service: str, **methods: Method) -> dict[str, Method]:
    """A service's methods by the paths that they are called by."""
    return {f"/{service}/{name}": method for name, method in methods.items()}


@dataclasses.dataclass
class Trouble:
    """What befalls the next calls of a method.

    Attributes:
        refusal: What they are answered with; None where the server is cut off from its clients.
        times: How many of them.
        lost: Whether the call is done all the same, and only its answer lost.
    """

    refusal: RefusedError | None
    times: int = 1
    lost: bool = False


class GoogleServer:
    """A service at `endpoint`; a subclass has its `methods`, by the paths they are called by.

    Args:
        key: The TLS key, in PEM.
        certificate: Its certificate for `localhost`, in PEM.
        account_certificate: The certificate that tokens must fit, in PEM.

    Attributes:
        endpoint: Where it is.
        calls: How often each method was called.
    """

    methods: Callable[[], dict[str, Method]]

    def __init__(self, key: bytes, certificate: bytes, account_certificate: bytes) -> None:
        super().__init__()
        self.calls: collections.Counter[str] = collections.Counter()
        self._requests: list[tuple[str, Any]] = []
        self._troubles: dict[str, Trouble] = {}
        self._account_certificate = account_certificate
        self._lock = threading.RLock()
        self._tls = grpc.ssl_server_credentials([(key, certificate)])
        self._port = 0
        self._listen()
        self.endpoint = f"localhost:{self._port}"

    def _listen(self) -> None:
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((_Handlers(self.methods(), self._answer),))
        self._port = self._server.add_secure_port(f"localhost:{self._port}", self._tls)
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None)

    def asked(self, method: str) -> list[Any]:
        """The requests of a method, in their order."""
        return [request for called, request in self._requests if called == method]

    def refuse(
        self,
        method: str,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        times: int = 1,
        lost: bool = False,
    ) -> None:
        """Makes the next calls of a method fail."""
        self._troubles[method] = Trouble(RefusedError(code, message, reason), times, lost)

    def cut_off(self, method: str, *, lost: bool = False) -> None:
        """Makes the next call of a method end all connections, and refuse them for a while."""
        self._troubles[method] = Trouble(None, lost=lost)

    def _cut(self) -> None:
        self._server.stop(grace=None).wait()
        time.sleep(0.3)
        self._listen()

    def _answer(
        self, method: str, request: Any, metadata: Mapping[str, str], work: Callable[[Any], Any]
    ) -> Any:
        with self._lock:
            self.calls[method] += 1
            self._requests.append((method, request))
            self._check_token(metadata.get("authorization", ""))
            trouble = self._troubles.get(method)
            if trouble is not None and trouble.times:
                trouble.times -= 1
                if trouble.lost:
                    work(request)
                if trouble.refusal is None:
                    threading.Thread(target=self._cut).start()
                    time.sleep(0.2)
                raise trouble.refusal or RefusedError(grpc.StatusCode.UNAVAILABLE, "cut off")
            _check_routing(request, metadata)
            return work(request)

    def _check_token(self, header: str) -> None:
        kind, _, token = header.partition(" ")
        try:
            require(kind == "Bearer", "no bearer token")
            jwt.decode(token, certs=self._account_certificate)
        except (ValueError, RefusedError):
            raise RefusedError(
                grpc.StatusCode.UNAUTHENTICATED,
                "Request had invalid authentication credentials. Expected OAuth 2 access token, "
                "login cookie or other valid authentication credential.",
                "ACCESS_TOKEN_EXPIRED",
            ) from None


class _Handlers(grpc.GenericRpcHandler):
    """Finds a call's method, and puts messages on the wire."""

    def __init__(self, methods: Mapping[str, Method], answer: Callable[..., Any]) -> None:
        self._methods, self._answer = methods, answer

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method not in self._methods:
            return None
        request_type, work = self._methods[details.method]
        method = details.method.rpartition("/")[2]

        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            metadata = dict(context.invocation_metadata())
            try:
                return self._answer(method, request, metadata, work)
            except RefusedError as refused:
                context.abort_with_status(_status(refused))

        read = getattr(request_type, "deserialize", None) or request_type.FromString
        return grpc.unary_unary_rpc_method_handler(handle, read, _to_bytes)


def _to_bytes(message: Any) -> bytes:
    plus = getattr(type(message), "serialize", None)
    return bytes(plus(message) if plus else message.SerializeToString())


def _status(refused: RefusedError) -> Any:
    status = status_pb2.Status(code=refused.code.value[0], message=refused.message)
    if refused.reason:
        detail = error_details_pb2.ErrorInfo(reason=refused.reason, domain="googleapis.com")
        status.details.add().Pack(detail)
    return rpc_status.to_status(status)


def _check_routing(request: Any, metadata: Mapping[str, str]) -> None:
    """The header that a request finds its region by."""
    routed = urllib.parse.parse_qs(metadata.get("x-goog-request-params", ""))
    require(routed, "x-goog-request-params")
    for path, (value,) in routed.items():
        named = request
        for part in path.split("."):
            named = getattr(named, part)
        require(named == value, path)
