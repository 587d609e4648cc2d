"""KServe's V2 service over gRPC, with the versions that KServe's own takes no notice of."""

from typing import Any

from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from components.serve.calls.request_checks import check_instances
from components.serve.protocols.served_models import ServedModels
from components.serve.protocols.v2_protocol import model_metadata
from components.serve.settings import ServeSettings


class InferenceService(InferenceServicer):  # type: ignore[misc]
    """V2's service.

    Args:
        data_plane: What passes requests on to the model, counting and timing them.
        repository: KServe's API of models that are loaded and unloaded.
        models: The models.
        settings: The server's limits.
    """

    def __init__(
        self,
        data_plane: DataPlane,
        repository: ModelRepositoryExtension,
        models: ServedModels,
        settings: ServeSettings,
    ) -> None:
        super().__init__(data_plane, repository)
        self._models, self._max_instances = models, settings.max_instances

    async def ModelReady(  # noqa: N802
        self, request: messages.ModelReadyRequest, _context: Any
    ) -> messages.ModelReadyResponse:
        """Whether the model, or a version of it, serves."""
        self._models.find(request.name).current(request.version or None)
        return messages.ModelReadyResponse(ready=True)

    async def ModelMetadata(  # noqa: N802
        self, request: messages.ModelMetadataRequest, _context: Any
    ) -> messages.ModelMetadataResponse:
        """The inputs and outputs."""
        model = self._models.find(request.name).current(request.version or None)
        return messages.ModelMetadataResponse(**model_metadata(request.name, model))

    async def ModelInfer(  # noqa: N802
        self, request: messages.ModelInferRequest, context: Any
    ) -> messages.ModelInferResponse:
        """Predictions, of all outputs or those that are asked for."""
        self._models.find(request.model_name)
        for tensor in request.inputs:  # before KServe makes a list of each value
            counts = (*tensor.shape[:1], len(tensor.contents.bytes_contents))
            check_instances(max(counts), self._max_instances)
        return await super().ModelInfer(request, context)
