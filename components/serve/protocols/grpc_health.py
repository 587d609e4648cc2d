"""gRPC's health checks, which Kubernetes and load balancers know."""

from collections.abc import AsyncIterator, Collection
from typing import Any

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer

from components.serve.errors import RequestError
from components.serve.protocols.served_models import ServedModels


class Health(HealthServicer):  # type: ignore[misc]
    """Says SERVING once every model is loaded, and NOT_SERVING from SIGTERM on.

    grpcio's own servicer forgets all watchers of a service when one goes, and its watches never
    end by themselves, which would hold up the end of the server.

    Args:
        models: The models.
        services: The names of the services, which all have the server's state.
    """

    def __init__(self, models: ServedModels, services: Collection[str]) -> None:
        self._models, self._services = models, services

    async def Check(  # noqa: N802
        self, request: HealthCheckRequest, _context: Any
    ) -> HealthCheckResponse:
        """The state of a service, or of the server where none is named."""
        if not self._knows(request.service):
            raise RequestError(f"unknown service '{request.service}'", status=404)
        return self._state()

    async def Watch(  # noqa: N802
        self, request: HealthCheckRequest, _context: Any
    ) -> AsyncIterator[HealthCheckResponse]:
        """The state of a service, and each change of it until the server ends."""
        known, last = self._knows(request.service), None
        while True:
            changed = self._models.changed
            unknown = HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
            state = self._state() if known else unknown
            if state != last:
                yield state
            last = state
            if self._models.stopping.is_set():
                return
            await changed.wait()

    def _knows(self, service: str) -> bool:
        return not service or service in self._services

    def _state(self) -> HealthCheckResponse:
        states = HealthCheckResponse
        return states(status=states.SERVING if self._models.serving else states.NOT_SERVING)
