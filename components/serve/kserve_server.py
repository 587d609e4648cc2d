"""KServe's server, listening where it is told to, and gone before a pod is killed.

KServe listens at all addresses and waits half a minute for open requests, and has options for
neither in this form.
"""

from typing import Any

import kserve
from kserve.protocol.grpc import server as grpc_server

from components.serve.settings import ServeSettings

_GRACE_SECONDS = 15
"""Time for requests that have begun; Kubernetes kills a pod 30 seconds after SIGTERM."""


def model_server(settings: ServeSettings, models: kserve.ModelRepository) -> Any:
    """A server that is not started yet.

    Args:
        settings: Host and ports.
        models: What it serves.
    """
    server = _Server(
        http_port=settings.port,
        grpc_port=settings.grpc_port,
        enable_grpc=settings.grpc_port is not None,
        registered_models=models,
        enable_latency_logging=False,
        grace_period=_GRACE_SECONDS,
    )
    server.host = settings.host
    # The port is all that its address is made of.
    grpc_server.aio = _Aio(settings.host)
    return server


class _Server(kserve.ModelServer):  # type: ignore[misc]
    host: str

    def setup_event_loop(self) -> None:
        """Called when the REST server is made, and not yet started."""
        self._rest_server.config.host = self.host
        super().setup_event_loop()


class _Aio:
    """grpc.aio, whose servers listen at one host."""

    def __init__(self, host: str) -> None:
        self._host = f"[{host}]" if ":" in host else host

    def server(self, *arguments: Any, **options: Any) -> Any:
        """A server whose ports are of the host."""
        from grpc import aio

        server = aio.server(*arguments, **options)
        add = server.add_insecure_port
        host = self._host
        server.add_insecure_port = lambda address: add(f"{host}:{address.rpartition(':')[2]}")
        return server
