"""TF Serving's gRPC services: PredictionService and ModelService.

Formats: https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import ParseDict
from kserve.protocol.dataplane import DataPlane
from kserve.utils.utils import to_headers
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceServicer
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceServicer

from components.serve.errors import RequestError
from components.serve.protocols.json_prediction import PREDICT_ONLY
from components.serve.protocols.served_model import Call
from components.serve.protocols.served_models import ServedModels
from components.serve.protocols.tensor_request import predict_tensors
from components.serve.protocols.version_states import version_states
from components.serve.settings import ServeSettings

_SIGNATURES = "signature_def"
"""The only kind of metadata that TF Serving has."""


class PredictionService(PredictionServiceServicer):  # type: ignore[misc]
    """Predictions, and the models' signatures.

    Args:
        data_plane: What passes requests on to the model, counting and timing them.
        models: The models.
        settings: The server's limits.
    """

    def __init__(
        self, data_plane: DataPlane, models: ServedModels, settings: ServeSettings
    ) -> None:
        self._data_plane, self._models, self._settings = data_plane, models, settings

    async def Predict(self, request: PredictRequest, context: Any) -> PredictResponse:  # noqa: N802
        """Predictions, of all outputs or those of `output_filter`."""
        spec = request.model_spec
        self._models.find(spec.name)
        max_bytes = self._settings.max_body_bytes
        call = Call(
            lambda model, batches: predict_tensors(model, request, batches, max_bytes),
            _content(request),
            *_version_and_label(spec),
        )
        answer, _ = await self._data_plane.infer(spec.name, call, to_headers(context))
        return answer.content

    async def GetModelMetadata(  # noqa: N802
        self, request: GetModelMetadataRequest, _context: Any
    ) -> GetModelMetadataResponse:
        """The model's signatures."""
        spec = request.model_spec
        served = self._models.find(spec.name)
        if set(request.metadata_field) != {_SIGNATURES}:
            raise RequestError(f"metadata_field must be '{_SIGNATURES}'")
        version, label = _version_and_label(spec)
        model = served.current(version, label=label)
        response = GetModelMetadataResponse()
        response.model_spec.name = spec.name
        response.model_spec.version.value = model.version.number
        signatures = ParseDict({"signature_def": model.signature_defs}, SignatureDefMap())
        response.metadata[_SIGNATURES].Pack(signatures)
        return response

    async def Classify(self, _request: Any, _context: Any) -> None:  # noqa: N802
        """Refuses."""
        raise NotImplementedError(PREDICT_ONLY)

    async def Regress(self, _request: Any, _context: Any) -> None:  # noqa: N802
        """Refuses."""
        raise NotImplementedError(PREDICT_ONLY)

    async def MultiInference(self, _request: Any, _context: Any) -> None:  # noqa: N802
        """Refuses."""
        raise NotImplementedError(PREDICT_ONLY)


class ModelService(ModelServiceServicer):  # type: ignore[misc]
    """The states of a model's versions.

    Args:
        models: The models.
    """

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    async def GetModelStatus(  # noqa: N802
        self, request: GetModelStatusRequest, _context: Any
    ) -> GetModelStatusResponse:
        """The states of all versions, or of the one that is asked for."""
        model = self._models.find(request.model_spec.name)
        version, label = _version_and_label(request.model_spec)
        if label is not None:
            version = str(model.current(label=label).version.number)
        states = version_states(model, version)
        return ParseDict({"model_version_status": states}, GetModelStatusResponse())

    async def HandleReloadConfigRequest(self, _request: Any, _context: Any) -> None:  # noqa: N802
        """Refuses: anyone who reaches the port could otherwise end the service."""
        raise NotImplementedError(
            "models are served from their directories: push a version, or roll one back"
        )


def _version_and_label(spec: ModelSpec) -> tuple[str | None, str | None]:
    """The version that a request asks for, by number or by label."""
    choice = spec.WhichOneof("version_choice")
    version = str(spec.version.value) if choice == "version" else None
    return version, spec.version_label if choice == "version_label" else None


def _content(request: PredictRequest) -> Iterator[bytes]:
    """The request's bytes; made where a canary has a share of the requests."""
    yield request.SerializeToString(deterministic=True)
