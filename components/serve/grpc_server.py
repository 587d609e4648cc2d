"""The gRPC port: TF Serving's services, KServe's V2, health checks and reflection."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

from components.serve.deadline import GRACE_SECONDS
from components.serve.limits.api_keys import ApiKeys, grpc_interceptor
from components.serve.limits.grpc_messages import BoundedMessages
from components.serve.limits.grpc_parsing import ReadableMessages
from components.serve.limits.grpc_refusals import GrpcRefusals
from components.serve.limits.rest_limits import OpenRequests
from components.serve.protocols.served_models import ServedModels
from components.serve.settings import ServeSettings
from components.serve.telemetry.access_log import AccessLog
from components.serve.telemetry.grpc_requests import GrpcRequests
from darkroom.errors import StepError

_FURTHER_CALLS = 64
"""Calls beside predictions that may be open: health watches, reflection, status."""


async def serve_grpc(
    kserve_server: Any,
    models: ServedModels,
    settings: ServeSettings,
    open_requests: OpenRequests,
    access_log: AccessLog,
    keys: ApiKeys | None,
) -> None:
    """Serves until the server is told to stop; requests that have begun are still answered.

    Args:
        kserve_server: KServe's server, whose V2 protocol is served too.
        models: The models.
        settings: Host, port and limits.
        open_requests: Counts the requests.
        access_log: Where a line a request goes.
        keys: What callers must name one of, if any.
    """
    from grpc import aio

    # The messages of TF Serving import TensorFlow: REST answers meanwhile. Nothing below it, for
    # Python lets that see it half imported while another thread imports it too.
    await asyncio.to_thread(importlib.import_module, "tensorflow")
    server = aio.server(
        interceptors=[
            GrpcRequests(access_log),
            *([] if keys is None else [grpc_interceptor(keys)]),
            GrpcRefusals(),
            BoundedMessages(settings, open_requests),
            ReadableMessages(),
        ],
        options=[
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            # Else a second server at the same port would get a part of the requests.
            ("grpc.so_reuseport", 0),
        ],
        maximum_concurrent_rpcs=settings.max_requests + _FURTHER_CALLS,
    )
    _add_services(server, kserve_server, models, settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        _add_port(server, f"{host}:{settings.grpc_port}", settings)
    except RuntimeError:
        raise StepError(
            f"port {settings.grpc_port} of {settings.host} cannot be used; choose another"
        ) from None
    await server.start()
    await models.stopping.wait()
    await server.stop(GRACE_SECONDS)


def _add_port(server: Any, address: str, settings: ServeSettings) -> None:
    if settings.tls_key is None or settings.tls_certificate is None:
        server.add_insecure_port(address)
        return
    import grpc

    pair = (Path(settings.tls_key).read_bytes(), Path(settings.tls_certificate).read_bytes())
    server.add_secure_port(address, grpc.ssl_server_credentials([pair]))


def _add_services(
    server: Any, kserve_server: Any, models: ServedModels, settings: ServeSettings
) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection
    from kserve.protocol.grpc import grpc_predict_v2_pb2, grpc_predict_v2_pb2_grpc
    from tensorflow_serving.apis import (
        model_service_pb2,
        model_service_pb2_grpc,
        prediction_service_pb2,
        prediction_service_pb2_grpc,
    )

    from components.serve.protocols.grpc_health import Health
    from components.serve.protocols.tf_serving_grpc import ModelService, PredictionService
    from components.serve.protocols.v2_grpc import InferenceService

    data_plane = kserve_server.dataplane
    v2 = InferenceService(data_plane, kserve_server.model_repository_extension, models, settings)
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(v2, server)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(data_plane, models, settings), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(models), server)
    files = (grpc_predict_v2_pb2, prediction_service_pb2, model_service_pb2, health_pb2)
    names = [
        service.full_name for file in files for service in file.DESCRIPTOR.services_by_name.values()
    ]
    health_pb2_grpc.add_HealthServicer_to_server(Health(models, names), server)
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
