"""TF Serving's gRPC API."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from components.predict.models.model import TooLargeError, UnreadableError
from components.predict.models.retries import BusyError
from darkroom.artifacts.model import IMAGE_BYTES
from darkroom.errors import StepError
from darkroom.servers import grpc_channel

_TIMEOUT = 120.0
_LONGEST = 2**31 - 1
"""Bytes of a message; gRPC's own limit of 4 MB is too small for many photographs."""
_BUSY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
    }
)
_TOO_LARGE = re.compile(
    r"larger than max|exceeds maximum size|too large"  # gRPC's own, in C++ and Go, and in Java
    r"|at most are answered at once|photographs have more than",  # our server's
    re.IGNORECASE,
)
"""What RESOURCE_EXHAUSTED says of a request's size; any other is a quota, or a server that is busy.
"""
_AVAILABLE = 30
"""The state of a version that serves, in `get_model_status.proto`."""


class GrpcClient:
    """A connection to a server.

    Args:
        host: `HOST:PORT`.
        name: The model's name.
        secure: Whether it is over TLS.
        key: The key that the server asks for, or "".
    """

    def __init__(self, host: str, name: str, secure: bool, key: str) -> None:
        from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
        from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

        self._address = f"grpc://{host}/{name}"
        self._name = name
        options = [
            ("grpc.max_send_message_length", _LONGEST),
            ("grpc.max_receive_message_length", _LONGEST),
        ]
        channel = grpc_channel(host, secure, options)
        self._metadata = [("authorization", f"Bearer {key}")] if key else []
        self._status = ModelServiceStub(channel).GetModelStatus
        self._predict = PredictionServiceStub(channel).Predict

    def version(self) -> int:
        """The number of the version that serves; see `Client`."""
        from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

        request = GetModelStatusRequest()
        request.model_spec.name = self._name
        for status in self._call(self._status, request).model_version_status:
            if status.state == _AVAILABLE:
                return int(status.version)
        raise BusyError(f"{self._address} serves no version yet")

    def labels(self, _version: int) -> tuple[str, ...]:
        """None: the API has no place for them."""
        return ()

    def ask(self, signature: str, images: Sequence[bytes], version: int) -> dict[str, Any]:
        """The outputs of a signature; see `Client`."""
        import tensorflow as tf
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        request = PredictRequest()
        request.model_spec.name = self._name
        request.model_spec.version.value = version
        request.model_spec.signature_name = signature
        request.inputs[IMAGE_BYTES].CopyFrom(tf.make_tensor_proto(list(images)))
        answer = self._call(self._predict, request)
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=_TIMEOUT, metadata=self._metadata)
        except grpc.RpcError as error:
            code, said = error.code(), " ".join(str(error.details()).split())[:200]
            if code == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(said):
                raise TooLargeError(said) from None
            if code in _BUSY:
                raise BusyError(f"{self._address} does not answer: {said}") from None
            if code == grpc.StatusCode.INVALID_ARGUMENT:
                raise UnreadableError(said) from None
            if code == grpc.StatusCode.NOT_FOUND:
                raise StepError(
                    f"{self._address} does not serve the version that this work began with, or "
                    f"another model ({said}): predict again, to another folder"
                ) from None
            raise StepError(f"{self._address} answers {code.name}: {said}") from None
