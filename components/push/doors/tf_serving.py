"""TF Serving's gRPC API."""

from components.push.doors.door import Answer
from components.push.doors.grpc_door import GrpcDoor
from components.push.doors.numbers import probabilities_of
from darkroom.artifacts.model import IMAGE_BYTES, SERVING_DEFAULT
from darkroom.errors import StepError


class TfServingDoor(GrpcDoor):
    """A model's Predict.

    Args:
        scheme: `grpc`, or `grpcs` for one over TLS.
        host: `HOST:PORT`.
        model: The model's name.
    """

    def __init__(self, scheme: str, host: str, model: str) -> None:
        from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

        super().__init__("TF Serving", PredictionServiceStub, scheme, host, model)

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        import tensorflow as tf
        from tensorflow_serving.apis.predict_pb2 import PredictRequest

        request = PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = SERVING_DEFAULT
        request.inputs[IMAGE_BYTES].CopyFrom(tf.make_tensor_proto([image]))
        answer = self._call("Predict", request)
        if "probabilities" not in answer.outputs:
            raise StepError(f"{self.name} gives no 'probabilities'")
        given = tf.make_ndarray(answer.outputs["probabilities"])
        version = answer.model_spec.version
        number = version.value if answer.model_spec.HasField("version") else None
        return Answer(probabilities_of(given, self.name), number)
