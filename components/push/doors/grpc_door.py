"""What the doors over gRPC share: a channel, a call, and what a failed one says."""

from collections.abc import Callable
from typing import Any

from components.push.doors.credentials import check_known, headers_for
from components.push.doors.door import TIMEOUT, NoSuchServiceError
from darkroom.errors import StepError
from darkroom.servers import grpc_channel


class GrpcDoor:
    """A door to a model over gRPC.

    Args:
        protocol: What people call the protocol.
        stub: Class of its service's stub.
        scheme: `grpc`, or `grpcs` for one over TLS.
        host: `HOST:PORT`.
        model: The model's name.
    """

    def __init__(
        self, protocol: str, stub: Callable[[Any], Any], scheme: str, host: str, model: str
    ) -> None:
        self.name = f"{protocol} {scheme}://{host}/{model}"
        self._channel = grpc_channel(host, secure=scheme == "grpcs")
        self._stub = stub(self._channel)
        self._model = model
        headers = headers_for(f"{scheme}://{host}")
        self._metadata = [(name.lower(), value) for name, value in headers.items()]

    def _call(self, method: str, request: Any) -> Any:
        """The answer to a request.

        Raises:
            NoSuchServiceError: The server does not speak the protocol.
            StepError: There is no answer.
        """
        import grpc

        try:
            return getattr(self._stub, method)(request, timeout=TIMEOUT, metadata=self._metadata)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise NoSuchServiceError(f"{self.name} does not speak this protocol") from None
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise StepError(f"{self.name} does not answer: {error.details()}") from None
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                check_known(self.name, 401)
            said = f"{error.code().name}: {error.details()}"
            raise StepError(f"{self.name} answers {said}") from None

    def close(self) -> None:
        """Ends its connection."""
        self._channel.close()
