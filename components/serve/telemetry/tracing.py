"""Traces by OpenTelemetry, where its variables name a collector; else nothing of it is loaded.

`OTEL_EXPORTER_OTLP_ENDPOINT` (or `..._TRACES_ENDPOINT`) turns them on. The SDK reads the others
itself: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, headers, time-outs.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from components.serve.telemetry.request_record import RequestRecord

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_SERVICE = "darkroom-serve"
"""The service's name where no variable gives one."""

_LAST_SECONDS = 1.5
"""For the spans that wait when the server ends; a collector that is gone would take 10 and more."""

_tracer: Any = None


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Traces requests as long as the block lasts, where the variables ask for it."""
    global _tracer
    is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_disabled or not any(map(os.environ.get, _ENDPOINTS)):
        yield
        return
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
    # Of a collector that is gone, the last try of each batch is said, and not every try.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    _tracer = provider.get_tracer("darkroom.serve")
    try:
        yield
    finally:
        _tracer = None
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(_LAST_SECONDS)


def _exporter() -> Any:
    protocols = [os.environ.get(name, "") for name in _PROTOCOLS]
    if (protocols[1] or protocols[0]) == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as over_grpc

        return over_grpc.OTLPSpanExporter()
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http

    return over_http.OTLPSpanExporter()


@contextlib.contextmanager
def request_span(
    name: str, record: RequestRecord, headers: Iterable[tuple[str, str]]
) -> Iterator[Any]:
    """The span of a request, below the one that its headers name, if any.

    Args:
        name: Its door: the method and route, or the rpc.
        record: What is known of it, which becomes the span's attributes.
        headers: Its headers, or its metadata.
    """
    if _tracer is None:
        yield
        return
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    with _tracer.start_as_current_span(name, extract(dict(headers)), SpanKind.SERVER) as span:
        try:
            yield
        finally:
            span.set_attribute("darkroom.request_id", record.request_id)
            if record.model:
                span.set_attribute("darkroom.model", record.model)
                span.set_attribute("darkroom.version", record.version)
                span.set_attribute("darkroom.instances", record.instances)


def note_call_times(queued_at: int, called_at: int) -> None:
    """Adds the spans of a wait and of the call of the model after it, which ends now.

    Args:
        queued_at: When the request began to wait, in nanoseconds since 1970.
        called_at: When the call began.
    """
    if _tracer is None:
        return
    _tracer.start_span("queue", start_time=queued_at).end(called_at)
    _tracer.start_span("model call", start_time=called_at).end()
