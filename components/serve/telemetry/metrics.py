"""What Prometheus reads at `/metrics` beside KServe's own: requests by version, and calls."""

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import Any

from components.serve.errors import RequestError
from components.serve.telemetry.request_record import current_record

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_QUEUE_SECONDS = (0.001, 0.002, *_SECONDS)
_DISTANCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
_INSTANCES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def register() -> None:
    """Makes the metrics, before several threads could do so at once."""
    for make in (
        _requests,
        _answer_seconds,
        _refused_requests,
        _call_instances,
        _queue_seconds,
        _shadow_results,
        _shadow_distance,
    ):
        make()


@contextlib.contextmanager
def observed(model: str, version: int) -> Iterator[None]:
    """Counts and times a request that a version answers as long as the block lasts."""
    started, status = time.perf_counter(), "200"
    try:
        yield
    except RequestError as error:
        status = str(error.status)
        raise
    except BaseException:
        # The client has gone, the time is over, or the server failed.
        status = "500"
        raise
    finally:
        _requests().labels(model, version, status).inc()
        _answer_seconds().labels(model, version).observe(time.perf_counter() - started)


def note_refusal(status: int) -> None:
    """Counts a request that is refused before it reaches a version."""
    _refused_requests().labels(status).inc()


def note_call(instances: int) -> None:
    """Notes the size of one call of a signature."""
    record = current_record()
    _call_instances().labels(record.model, record.version).observe(instances)


def note_wait(seconds: float) -> None:
    """Notes how long a request waited for its call of a signature to begin."""
    record = current_record()
    _queue_seconds().labels(record.model, record.version).observe(seconds)


def note_shadow(model: str, version: int, result: str, distance: float | None) -> None:
    """Notes what became of a canary's answer that nobody gets.

    Args:
        model: The model's name.
        version: The canary's number.
        result: `same` or `other`, its label of a photograph; `failed` or `dropped`, a request.
        distance: How far any of its probabilities is off, where they can be compared.
    """
    _shadow_results().labels(model, version, result).inc()
    if distance is not None:
        _shadow_distance().labels(model, version).observe(distance)


# Made when they are first needed: who only checks settings has no Prometheus.
@functools.cache
def _requests() -> Any:
    from prometheus_client import Counter

    text = "Requests that reached a version, by the status of their answer."
    return Counter("darkroom_requests", text, ["model", "version", "status"])


@functools.cache
def _answer_seconds() -> Any:
    from prometheus_client import Histogram

    text = "Seconds that a version took to answer a request, waiting included."
    return Histogram("darkroom_answer_seconds", text, ["model", "version"], buckets=_SECONDS)


@functools.cache
def _refused_requests() -> Any:
    from prometheus_client import Counter

    text = "Requests that were refused before they reached a version, by status."
    return Counter("darkroom_refused_requests", text, ["status"])


@functools.cache
def _call_instances() -> Any:
    from prometheus_client import Histogram

    text = "Instances of one call of a signature, after requests were put together."
    labels = ["model", "version"]
    return Histogram("darkroom_call_instances", text, labels, buckets=_INSTANCES)


@functools.cache
def _queue_seconds() -> Any:
    from prometheus_client import Histogram

    text = "Seconds that a request waited until the call of a signature that answers it."
    labels = ["model", "version"]
    return Histogram("darkroom_queue_seconds", text, labels, buckets=_QUEUE_SECONDS)


@functools.cache
def _shadow_results() -> Any:
    from prometheus_client import Counter

    text = "Photographs to which the canary gave the same or another label, unseen by clients."
    return Counter("darkroom_shadow", text, ["model", "version", "result"])


@functools.cache
def _shadow_distance() -> Any:
    from prometheus_client import Histogram

    text = "How far any probability of a photograph is off that the canary gave, unseen by clients."
    labels = ["model", "version"]
    return Histogram("darkroom_shadow_distance", text, labels, buckets=_DISTANCES)
