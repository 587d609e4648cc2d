"""What Prometheus reads at `/metrics` beside KServe's own: requests by version, and calls."""

import contextlib
import functools
import time
from collections.abc import Iterator
from typing import Any

from components.serve.errors import RequestError

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_INSTANCES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def register() -> None:
    """Makes the metrics, before several threads could do so at once."""
    for make in (_requests, _answer_seconds, _refused_requests, _call_instances):
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
    _call_instances().observe(instances)


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
    return Histogram("darkroom_call_instances", text, buckets=_INSTANCES)
