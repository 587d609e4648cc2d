"""TF Serving's gRPC API."""

from components.push.doors.door import TIMEOUT, Answer
from components.push.doors.numbers import probabilities_of
from components.push.doors.v2 import grpc_channel, grpc_problem
from darkroom.artifacts.model import IMAGE_BYTES, SERVING_DEFAULT
from darkroom.errors import StepError


class TfServingDoor:
    """A model's Predict.

    Args:
        address: `HOST:PORT`.
        model: The model's name.
    """

    def __init__(self, address: str, model: str) -> None:
        from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

        self.name = f"TF Serving grpc://{address}/{model}"
        self._model = model
        self._channel = grpc_channel(address)
        self._stub = PredictionServiceStub(self._channel)

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        request = PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = SERVING_DEFAULT
        request.inputs[IMAGE_BYTES].CopyFrom(tf.make_tensor_proto([image]))
        try:
            answer = self._stub.Predict(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            raise grpc_problem(self.name, error) from None
        if "probabilities" not in answer.outputs:
            raise StepError(f"{self.name} gives no 'probabilities'")
        given = tf.make_ndarray(answer.outputs["probabilities"])
        version = answer.model_spec.version
        number = version.value if answer.model_spec.HasField("version") else None
        return Answer(probabilities_of(given, self.name), number)

    def close(self) -> None:
        """Ends its connection."""
        self._channel.close()
