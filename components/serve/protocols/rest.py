"""TF Serving's REST API as routes of KServe's application.

Format: https://www.tensorflow.org/tfx/serving/api_rest
"""

import asyncio
import functools
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.v2_datamodels import (
    InferenceResponse,
    ModelMetadataResponse,
    ModelReadyResponse,
    ServerReadyResponse,
)
from starlette.exceptions import HTTPException as StarletteHTTPException

from components.serve.calls.batching import Calls
from components.serve.errors import RequestError
from components.serve.page.page import Page
from components.serve.protocols.bodies import (
    ExplainResponse,
    ModelMetadata,
    ModelStatus,
    PredictRequest,
    PredictResponse,
)
from components.serve.protocols.explanation import explain_json
from components.serve.protocols.json_prediction import PREDICT_ONLY, predict_json
from components.serve.protocols.openapi import answers, describe, takes
from components.serve.protocols.served_model import Call
from components.serve.protocols.served_models import ServedModels
from components.serve.protocols.v2_protocol import model_metadata
from components.serve.protocols.v2_request import JSON_LENGTH, V2Request, parse_v2
from components.serve.protocols.version_states import version_states
from components.serve.settings import ServeSettings
from components.serve.versions.loaded_model import LoadedModel
from darkroom.artifacts.model import labels_separator

VERSION_HEADER = "X-Model-Version"
"""Header of an answer in TF Serving's form: the number of the version that gave it."""

_BINARY = "application/octet-stream"


async def _version_of_path(request: Request) -> str | None:
    return request.path_params.get("version")


_Version = Annotated[str | None, Depends(_version_of_path)]
"""The version that a path names, if any; FastAPI itself would take one from the query too."""


def add_endpoints(
    application: FastAPI, data_plane: DataPlane, models: ServedModels, settings: ServeSettings
) -> None:
    """Adds the routes; added before KServe's own, so that they win where paths are the same.

    Args:
        application: KServe's application.
        data_plane: What passes requests on to the model, counting and timing them.
        models: The models.
        settings: Further paths.
    """
    endpoints = _Endpoints(data_plane, models, settings)
    router = APIRouter()
    predict = answers(PredictResponse) | takes(PredictRequest)
    explain = answers(ExplainResponse) | takes(PredictRequest)
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        router.add_api_route(path, endpoints.status, methods=["GET"], **answers(ModelStatus))
        router.add_api_route(
            f"{path}/metadata", endpoints.metadata, methods=["GET"], **answers(ModelMetadata)
        )
        router.add_api_route(f"{path}:predict", endpoints.predict, methods=["POST"], **predict)
        router.add_api_route(f"{path}:explain", endpoints.explain, methods=["POST"], **explain)
        for other in ("classify", "regress"):
            router.add_api_route(
                f"{path}:{other}", _predict_only, methods=["POST"], status_code=400
            )
    if settings.predict_route is not None:
        router.add_api_route(
            settings.predict_route, endpoints.predict_any, methods=["POST"], **predict
        )
    ready = answers(ServerReadyResponse)
    for path in filter(None, ("/v2/health/ready", settings.health_route)):
        router.add_api_route(path, endpoints.ready, methods=["GET"], name="serves", **ready)
    infer = answers(InferenceResponse, _BINARY) | takes(V2Request, _BINARY)
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        router.add_api_route(
            path, endpoints.v2_metadata, methods=["GET"], **answers(ModelMetadataResponse)
        )
        router.add_api_route(
            f"{path}/ready", endpoints.v2_ready, methods=["GET"], **answers(ModelReadyResponse)
        )
        router.add_api_route(f"{path}/infer", endpoints.infer, methods=["POST"], **infer)
    page = Page(models.names, data_plane.live).answer
    router.add_api_route(
        "/", page, methods=["GET"], responses={200: {"content": {"text/html": {}}}}
    )
    application.include_router(router)
    open_paths = None if settings.api_keys is None else settings.open_paths
    describe(application, models.names, open_paths)
    application.add_exception_handler(RequestError, _refused)
    application.add_exception_handler(StarletteHTTPException, _refused)
    application.add_exception_handler(RequestValidationError, _refused)


class _Endpoints:
    def __init__(
        self, data_plane: DataPlane, models: ServedModels, settings: ServeSettings
    ) -> None:
        self._data_plane, self._models, self._settings = data_plane, models, settings

    async def status(self, name: str, version: _Version = None) -> Response:
        """Status of the model's versions; 503, which probes understand, until one serves."""
        states = version_states(self._models.find(name), version)
        available = any(state["state"] == "AVAILABLE" for state in states)
        # TF Serving's answer, and the field that KServe's V1 client looks for.
        content = {"model_version_status": states, "ready": available}
        return _json(content, 200 if available else 503)

    async def metadata(self, name: str, version: _Version = None) -> Response:
        """The model's signatures and, beyond TF Serving's answer, the names of its labels."""
        model = self._models.find(name).current(version)
        number = str(model.version.number)
        found: dict[str, Any] = {"signature_def": {"signature_def": model.signature_defs}}
        if model.labels:
            separator = labels_separator(model.labels)
            found["labels"] = {"names": model.labels, "separator": separator}
        spec = {"name": name, "signature_name": "", "version": number}
        return _json({"model_spec": spec, "metadata": found})

    async def predict(self, name: str, request: Request, version: _Version = None) -> Response:
        """Predictions; `Content-Type` is ignored, as in TF Serving."""
        predict = functools.partial(predict_json, max_instances=self._settings.max_instances)
        return await self._answered(name, request, version, predict)

    async def explain(self, name: str, request: Request, version: _Version = None) -> Response:
        """What of a photograph the answer follows from, within the limits of predictions."""
        explain = functools.partial(explain_json, settings=self._settings)
        return await self._answered(name, request, version, explain)

    async def _answered(
        self,
        name: str,
        request: Request,
        version: str | None,
        answer: Callable[[LoadedModel, bytes, Calls], bytes],
    ) -> Response:
        self._models.find(name)
        body = await request.body()
        call = Call(lambda model, batches: answer(model, body, batches), [body], version)
        found, _ = await self._data_plane.infer(name, call, dict(request.headers))
        headers = {VERSION_HEADER: str(found.version)}
        return Response(found.content, headers=headers, media_type="application/json")

    async def predict_any(self, request: Request) -> Response:
        """The same at a path without the model's name."""
        return await self.predict(self._models.names[0], request)

    async def infer(self, name: str, request: Request, version: _Version = None) -> Response:
        """Predictions in KServe's V2 protocol; KServe's own route fails on binary tensors."""
        self._models.find(name).current(version)  # a wrong version is said before a wrong body
        length = request.headers.get(JSON_LENGTH)
        # In a thread: a body may be large, and the others are not to wait.
        parsed = await asyncio.to_thread(parse_v2, await request.body(), length, name)
        parsed.model_version = version
        headers = dict(request.headers)
        response, _ = await self._data_plane.infer(name, parsed, headers)
        content, more = self._data_plane.encode(name, response, headers, {})
        if isinstance(content, bytes):
            return Response(content, headers=more, media_type="application/octet-stream")
        return _json(content)

    async def v2_metadata(self, name: str, version: _Version = None) -> Response:
        """The inputs and outputs in V2's form."""
        return _json(model_metadata(name, self._models.find(name).current(version)))

    async def v2_ready(self, name: str, version: _Version = None) -> Response:
        """Whether the model, or a version of it, serves."""
        self._models.find(name).current(version)
        return _json({"name": name, "ready": True})

    async def ready(self) -> Response:
        """Whether all models serve; KServe's own route says yes while one loads."""
        return _json({"ready": self._models.serving}, 200 if self._models.serving else 503)


async def _predict_only() -> Response:
    raise RequestError(PREDICT_ONLY)


async def _refused(_: Request, error: Exception) -> Response:
    """Every refusal in TF Serving's form."""
    if isinstance(error, StarletteHTTPException):
        response = _json({"error": str(error.detail)}, error.status_code)
        response.headers.update(error.headers or {})  # such as `Allow`, for a wrong method
        return response
    if isinstance(error, RequestValidationError):
        return _json({"error": "the request is not of the form that this path takes"}, 400)
    status = error.status if isinstance(error, RequestError) else 500
    return _json({"error": str(error)}, status)


def _json(content: Any, status: int = 200) -> Response:
    # Escaped to ASCII: a message may quote text that cannot be encoded.
    return Response(json.dumps(content), status, media_type="application/json")
