"""A stand-in for Vertex Pipelines over TLS."""

from darkroom.tests.google_server import GoogleServer
from pipeline.tests.vertex_services import VertexServices


class VertexServer(GoogleServer, VertexServices):
    """Vertex at `endpoint`."""
