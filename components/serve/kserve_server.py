"""KServe's server, listening where it is told to, and gone before a pod is killed.

KServe listens at all addresses and waits half a minute for open requests, and has options for
neither in this form.
"""

import asyncio
from typing import Any

import kserve

from components.serve.deadline import GRACE_SECONDS, begin_to_end
from components.serve.limits.rest_connections import bound_connections
from components.serve.limits.rest_limits import OpenRequests
from components.serve.protocols.served_models import ServedModels
from components.serve.settings import ServeSettings


def model_server(settings: ServeSettings, models: ServedModels, open_requests: OpenRequests) -> Any:
    """A server of REST that is not started yet.

    Args:
        settings: Host and port.
        models: What it serves.
        open_requests: Counts the requests.
    """
    repository = kserve.ModelRepository()
    for model in models:
        repository.update(model)
    server = _Server(
        http_port=settings.port,
        enable_grpc=False,  # KServe's could serve no other protocol than its own
        registered_models=repository,
        enable_latency_logging=False,
        grace_period=GRACE_SECONDS,
    )
    server.host, server.models, server.settings = settings.host, models, settings
    server.open_requests = open_requests

    async def ready() -> bool:
        return models.serving

    # KServe's own says yes while a model loads, and while the server ends.
    server.dataplane.ready = ready
    return server


class _Server(kserve.ModelServer):  # type: ignore[misc]
    host: str
    models: ServedModels
    settings: ServeSettings
    open_requests: OpenRequests

    def setup_event_loop(self) -> None:
        """Called when the REST server is made, and not yet started."""
        config = self._rest_server.config
        config.host = self.host
        bound_connections(config, self.settings, self.open_requests)
        config.ssl_certfile, config.ssl_keyfile = (
            self.settings.tls_certificate,
            self.settings.tls_key,
        )
        # Its only middleware times requests for a log that is off, and asks the system for the
        # process's times for that: a third of what Python does for a request.
        self._rest_server._add_middlewares = lambda _: None
        uvicorn = self._rest_server._server
        end = uvicorn.handle_exit

        def drain_and_end(*signal_and_frame: Any) -> None:
            # KServe tells the models once REST has answered its last request: too late for gRPC
            # and for health checks.
            begin_to_end()
            asyncio.get_running_loop().call_soon_threadsafe(self.models.drain)
            end(*signal_and_frame)

        uvicorn.handle_exit = drain_and_end
        super().setup_event_loop()
