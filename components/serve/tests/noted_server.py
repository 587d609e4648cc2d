"""A server with an access log, and a receiver of its traces."""

import contextlib
import gzip
import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from components.serve.tests.server_process import Server, free_port, start_server


class Collector:
    """A real receiver of OTLP over HTTP, which keeps the spans."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceRequest,
        )

        self.services: set[str] = set()
        self.spans: list[Any] = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    attributes = {each.key: each.value for each in resource.resource.attributes}
                    collector.services.add(attributes["service.name"].string_value)
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def spans_of(self, trace: str) -> dict[str, Any]:
        return {span.name: span for span in self.spans if span.trace_id.hex() == trace}


@contextlib.contextmanager
def noted(base_dir: Path, folder: Path, collector: Collector | None) -> Iterator[Server]:
    """A server with an access log, and traces where there is a collector."""
    grpc_port = free_port()
    settings = {"access_log": True, "grpc_port": grpc_port, "max_requests": 3, "batch_size": 2}
    traced = (
        {}
        if collector is None
        else {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    )
    with mock.patch.dict(os.environ, traced):
        server = start_server(
            base_dir, "flowers", folder / "log", "--settings", json.dumps(settings)
        )
    server.grpc_port = grpc_port
    try:
        server.wait_until(server.serving)
        server.wait_until(lambda: "gRPC" in server.log.read_text())
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)
