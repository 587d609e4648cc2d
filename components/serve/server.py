"""The model server: TF Serving's APIs, on the KServe SDK.

KServe adds its V2 protocol, over REST (`/v2`) and, where `grpc_port` is set, over gRPC; liveness
at `/` (for browsers a page to try the model at), readiness at `/v2/health/ready`, Prometheus at
`/metrics`.
"""

import asyncio
import logging
import signal
import socket
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from components.serve.deadline import end_at_last
from components.serve.settings import ServeSettings
from components.serve.telemetry import metrics
from components.serve.versions.model_directory import check_model_directory
from darkroom.artifacts.signature import check_public_key
from darkroom.errors import StepError
from darkroom.storage.atomic import os_reason

if TYPE_CHECKING:
    from components.serve.protocols.served_model import ServedModel
    from components.serve.protocols.served_models import ServedModels

_LOG = logging.getLogger("darkroom.serve")


def serve(settings: ServeSettings) -> None:
    """Serves models until SIGTERM or Ctrl-C; requests that have begun are still answered.

    Args:
        settings: The models, the ports and the limits. A model is the path or URI of a SavedModel
            directory, or of a TF Serving base directory of numbered versions, of which the highest
            serves; versions that are pushed or rolled back are picked up.

    Raises:
        SettingsError: A model's directory is missing or holds no model, or `public_key` is none.
        StepError: A port cannot be used, or there is a model of which no version loads.
    """
    for place in settings.models.values():
        check_model_directory(place)
    if settings.public_key is not None:
        check_public_key(Path(settings.public_key))
    for port in (settings.port, settings.grpc_port):
        if port is not None:
            _check_port(settings.host, port)
    with end_at_last():
        not_loaded = _run(settings)
    if not_loaded:
        places = ", ".join(settings.models[name] for name in not_loaded)
        raise StepError(f"no version of the model in {places} can be loaded")
    _LOG.info("stopped")


def _run(settings: ServeSettings) -> list[str]:
    """Serves to the end; gives the names of the models that kept it from beginning."""
    from fastapi.exceptions import FastAPIDeprecationWarning
    from kserve.model_server import app

    from components.serve.grpc_server import serve_grpc
    from components.serve.kserve_server import model_server
    from components.serve.limits.api_keys import ApiKeys, RequireKey
    from components.serve.limits.rest_limits import Limits, OpenRequests
    from components.serve.protocols.rest import add_endpoints
    from components.serve.protocols.served_model import ReadOnlyRepository
    from components.serve.protocols.served_models import ServedModels
    from components.serve.telemetry.access_log import AccessLog
    from components.serve.telemetry.rest_requests import RestRequests
    from components.serve.telemetry.tracing import tracing

    metrics.register()
    # With a handler there, KServe adds none of its own, which would write four lines a request.
    logging.getLogger("kserve").addHandler(logging.NullHandler())
    # KServe's own routes cause it on every start.
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
    keys = None if settings.api_keys is None else ApiKeys(settings.api_keys)
    open_requests = OpenRequests(settings.max_requests)
    access_log = AccessLog(settings.access_log)
    models = ServedModels(settings, open_requests.is_idle)
    server = model_server(settings, models, open_requests)
    server.model_repository_extension = ReadOnlyRepository(server.registered_models)
    add_endpoints(app, server.dataplane, models, settings)
    app.add_middleware(Limits, settings=settings, open_requests=open_requests)
    if keys is not None:  # the last that is added sees a request first
        app.add_middleware(RequireKey, keys=keys, open_paths=settings.open_paths)
    app.add_middleware(RestRequests, access_log=access_log, probes=settings.probe_paths)
    not_loaded: list[str] = []
    server.servers.append(_load_and_follow(models, settings, not_loaded))
    if settings.grpc_port is not None:
        server.servers.append(serve_grpc(server, models, settings, open_requests, access_log, keys))
    # No models given: KServe would wait for them to be loaded before it opens the port.
    # KServe takes the thread's event loop, which is closed once another has run in the thread.
    asyncio.set_event_loop(asyncio.new_event_loop())
    with tracing():
        server.start([])
    models.close()
    access_log.close()
    return not_loaded


async def _load_and_follow(
    models: "ServedModels", settings: ServeSettings, not_loaded: list[str]
) -> None:
    """Loads the models, then checks for other versions until the server stops.

    All models are tried before a server without one of them ends, so that its log names each that
    does not load.
    """
    for model in models:
        _LOG.info("loading %s", model.name)
        await _refresh(model)
        if models.stopping.is_set():
            return
        if model.follower.current is None:
            not_loaded.append(model.name)
        else:
            model.begin()
    if not_loaded:
        # The way to stop KServe's servers, whose own `stop` leaves the REST one running.
        signal.raise_signal(signal.SIGTERM)
        return
    models.begin()
    scheme = "http" if settings.tls_key is None else "https"
    for model in models:
        url = f"{scheme}://{settings.host}:{settings.port}/v1/models/{quote(model.name)}:predict"
        if current := model.follower.current:
            _LOG.info("%s version %d on %s", model.name, current.version.number, url)
    if settings.grpc_port is not None:
        _LOG.info("gRPC (TF Serving's and KServe's V2) on port %d", settings.grpc_port)
    # Each by itself: a store that hangs, or a version that loads slowly, is of one model alone.
    await asyncio.gather(*(_follow(model, models.stopping, settings) for model in models))


async def _follow(model: "ServedModel", stopping: asyncio.Event, settings: ServeSettings) -> None:
    while not await _is_set_within(stopping, settings.poll_seconds):
        await _refresh(model)


async def _refresh(model: "ServedModel") -> None:
    try:
        await asyncio.to_thread(model.follower.refresh)
    except Exception as error:
        # A store that does not answer once is no reason to stop serving.
        stays = "" if model.follower.current is None else "; what serves keeps serving"
        _LOG.warning("%s cannot be looked at: %s%s", model.name, error, stays)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As the servers set it: a port whose last connections are still closing may be used.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = os_reason(error).lower()
            raise StepError(
                f"port {port} of {host} cannot be used ({reason}); choose another"
            ) from None
