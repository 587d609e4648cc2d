"""What Prometheus reads at `/metrics` beside KServe's own: requests by version, and calls."""

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import Counter, Histogram

from components.serve.errors import RequestError

_REQUESTS = Counter(
    "darkroom_requests",
    "Requests that reached a version, by the status of their answer.",
    ["model", "version", "status"],
)
_SECONDS = Histogram(
    "darkroom_answer_seconds",
    "Seconds that a version took to answer a request, waiting included.",
    ["model", "version"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
_REFUSED = Counter(
    "darkroom_refused_requests",
    "Requests that were refused before they reached a version, by status.",
    ["status"],
)
_INSTANCES = Histogram(
    "darkroom_call_instances",
    "Instances of one call of a signature, after requests were put together.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)


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
        _REQUESTS.labels(model, version, status).inc()
        _SECONDS.labels(model, version).observe(time.perf_counter() - started)


def note_refusal(status: int) -> None:
    """Counts a request that is refused before it reaches a version."""
    _REFUSED.labels(status).inc()


def note_call(instances: int) -> None:
    """Notes the size of one call of a signature."""
    _INSTANCES.observe(instances)
