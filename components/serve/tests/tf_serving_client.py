"""TF Serving's own client, as its guide writes it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from components.serve.tests.server_process import Server


@contextlib.contextmanager
def channel(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as opened:
        yield opened


def request(name: str, signature: str = "", /, **inputs: Any) -> Any:
    """A PredictRequest with tensors of the values."""
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    message = PredictRequest()
    message.model_spec.name = name
    message.model_spec.signature_name = signature
    for key, value in inputs.items():
        message.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return message


def predict(server: Server, message: Any, seconds: float = 60) -> Any:
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    with channel(server) as opened:
        return PredictionServiceStub(opened).Predict(message, seconds)


def arrays(response: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


@contextlib.contextmanager
def refused(code: grpc.StatusCode, message: str) -> Iterator[None]:
    with pytest.raises(grpc.RpcError) as caught:
        yield
    error = caught.value
    assert isinstance(error, grpc.Call)
    assert (error.code(), message in (error.details() or "")) == (code, True), error.details()
