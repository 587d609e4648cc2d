"""A stand-in for Vertex's Model Registry and endpoints over TLS."""

from components.push.tests.vertex_endpoints import VertexEndpoints
from components.push.tests.vertex_jobs import VertexJobs
from components.push.tests.vertex_operations import VertexOperations
from components.push.tests.vertex_registry import VertexRegistry
from darkroom.tests.google_server import GoogleServer, Method


class VertexServer(GoogleServer):
    """Vertex at `endpoint`.

    Attributes:
        operations: What takes it a while.
        registry: Its models.
        endpoints: Its endpoints.
        jobs: Its batch prediction jobs.
    """

    def __init__(self, key: bytes, certificate: bytes, account_certificate: bytes) -> None:
        self.operations = VertexOperations()
        self.registry = VertexRegistry(self.operations)
        self.endpoints = VertexEndpoints(self.operations, self.registry)
        self.jobs = VertexJobs(self.registry)
        super().__init__(key, certificate, account_certificate)

    def methods(self) -> dict[str, Method]:
        """What is called by which path."""
        parts = (self.operations, self.registry, self.endpoints, self.jobs)
        return {path: method for part in parts for path, method in part.methods().items()}
