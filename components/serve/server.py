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

from components.serve import metrics
from components.serve.deadline import end_at_last
from components.serve.settings import ServeSettings
from components.serve.versions.follower import VersionFollower
from components.serve.versions.model_directory import check_model_directory, model_name
from darkroom.errors import StepError
from darkroom.storage.atomic import os_reason

if TYPE_CHECKING:
    from components.serve.protocols.served_model import ServedModel

_LOG = logging.getLogger("darkroom.serve")


def serve(model_dir: str | Path, settings: ServeSettings) -> None:
    """Serves a model until SIGTERM or Ctrl-C; requests that have begun are still answered.

    Args:
        model_dir: Path or URI of a SavedModel directory, or of a TF Serving base directory of
            numbered versions, of which the highest serves; versions that are pushed or rolled back
            are picked up.
        settings: The name and the ports.

    Raises:
        SettingsError: The directory is missing or holds no model.
        StepError: A port cannot be used, or no version of the model loads.
    """
    check_model_directory(model_dir)
    for port in (settings.port, settings.grpc_port):
        if port is not None:
            _check_port(settings.host, port)
    name = settings.name or model_name(model_dir)
    follower = VersionFollower(model_dir, name, settings.public_key)
    with end_at_last():
        _run(name, follower, settings)
    if follower.current is None:
        raise StepError(f"no version of the model in {model_dir} can be loaded")
    _LOG.info("stopped")


def _run(name: str, follower: VersionFollower, settings: ServeSettings) -> None:
    import uvloop
    from fastapi.exceptions import FastAPIDeprecationWarning
    from kserve.model_server import app

    from components.serve.grpc_server import serve_grpc
    from components.serve.kserve_server import model_server
    from components.serve.limits.api_keys import ApiKeys, RequireKey
    from components.serve.limits.rest_limits import Limits, OpenRequests
    from components.serve.protocols.rest import add_endpoints
    from components.serve.protocols.served_model import ReadOnlyRepository, ServedModel

    metrics.register()
    # With a handler there, KServe adds none of its own, which would write four lines a request.
    logging.getLogger("kserve").addHandler(logging.NullHandler())
    # KServe's own routes cause it on every start.
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)
    keys = None if settings.api_keys is None else ApiKeys(settings.api_keys)
    model = ServedModel(name, follower, settings)
    server = model_server(settings, model)
    server.model_repository_extension = ReadOnlyRepository(server.registered_models)
    add_endpoints(app, server.dataplane, model, settings)
    open_requests = OpenRequests(settings.max_requests)
    app.add_middleware(Limits, settings=settings, open_requests=open_requests)
    if keys is not None:  # the last that is added sees a request first
        app.add_middleware(RequireKey, keys=keys, health_route=settings.health_route)
    server.servers.append(_follow(model, settings))
    if settings.grpc_port is not None:
        server.servers.append(serve_grpc(server, model, settings, open_requests, keys))
    # No models given: KServe would wait for them to be loaded before it opens the port.
    # KServe takes the thread's event loop, which is closed once another has run in the thread.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.set_event_loop(asyncio.new_event_loop())
    server.start([])
    model.keep_samples()


async def _follow(model: "ServedModel", settings: ServeSettings) -> None:
    """Loads the model, then checks for other versions until the server stops."""
    follower = model.follower
    _LOG.info("loading %s", model.name)
    await asyncio.to_thread(follower.refresh)
    if model.stopping.is_set():
        return
    if follower.current is None:
        # The way to stop KServe's servers, whose own `stop` leaves the REST one running.
        signal.raise_signal(signal.SIGTERM)
        return
    model.begin()
    scheme = "http" if settings.tls_key is None else "https"
    url = f"{scheme}://{settings.host}:{settings.port}/v1/models/{quote(model.name)}:predict"
    _LOG.info("%s version %d on %s", model.name, follower.current.version.number, url)
    if settings.grpc_port is not None:
        _LOG.info("gRPC (TF Serving's and KServe's V2) on port %d", settings.grpc_port)
    while not await _stops_within(model, settings.poll_seconds):
        try:
            await asyncio.to_thread(follower.refresh)
        except Exception as error:
            # A store that does not answer once is no reason to stop serving.
            _LOG.warning("%s cannot be looked at: %s; what serves keeps serving", model.name, error)


async def _stops_within(model: "ServedModel", seconds: float) -> bool:
    try:
        await asyncio.wait_for(model.stopping.wait(), seconds)
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
