"""What the doors over gRPC share: a channel, a call, and what a failed one says."""

from collections.abc import Callable
from typing import Any

from components.push.doors.credentials import check_known, headers_for
from components.push.doors.door import TIMEOUT, NoSuchServiceError
from darkroom.errors import StepError
from darkroom.servers import is_here


class GrpcDoor:
    """A door to a model over gRPC.

    Args:
        protocol: What people call the protocol.
        stub: Class of its service's stub.
        address: `HOST:PORT`.
        model: The model's name.
    """

    def __init__(self, protocol: str, stub: Callable[[Any], Any], address: str, model: str) -> None:
        import grpc

        self.name = f"{protocol} grpc://{address}/{model}"
        # To a server of this machine by no proxy.
        options = [("grpc.enable_http_proxy", 0)] if is_here(address) else []
        self._channel = grpc.insecure_channel(address, options)
        self._stub = stub(self._channel)
        self._model = model
        headers = headers_for(f"grpc://{address}")
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
