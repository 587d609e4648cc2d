"""What a model server counts of each version: requests, errors and seconds, from `/metrics`."""

import dataclasses
import math
import re
from urllib.parse import unquote

from components.push.promotion.check import CanaryLimits, Check, Finding, held_to
from darkroom.anytime import Interval, rate_difference, rate_interval
from darkroom.errors import SettingsError, StepError
from darkroom.servers import http_options

_REQUESTS = "darkroom_requests_total"
_SECONDS = "darkroom_answer_seconds_bucket"
_TIMEOUT = 30.0
_QUANTILE = 0.95
_LEAST_ANSWERS = 100
"""Answers of the version that serves from which its 95th percentile is taken."""
_ADDRESS = re.compile(r"(https?://[^/]+(?:/.+)?)/v[12]/models/([^/]+)/?")


@dataclasses.dataclass
class Counts:
    """What a server has counted of one version.

    Attributes:
        requests: Requests that the version has answered.
        errors: Those among them that ended with an error of the server, 500 or above.
        within: Answers that took no longer, by seconds; one is infinite.
    """

    requests: int = 0
    errors: int = 0
    within: dict[float, int] = dataclasses.field(default_factory=dict)

    @property
    def answers(self) -> int:
        """Answers that were timed."""
        return self.within.get(math.inf, 0)

    def percentile(self) -> float:
        """Seconds within which 95 % of the answers came, interpolated as Prometheus does."""
        wanted, before, below = _QUANTILE * self.answers, 0.0, 0
        for bound, count in sorted(self.within.items()):
            if count >= wanted:
                if math.isinf(bound):
                    return bound
                return before + (bound - before) * (wanted - below) / max(1, count - below)
            before, below = bound, count
        return math.inf


def read_counts(server: str) -> dict[int, Counts]:
    """What a server has counted of a model, by the version's number.

    Args:
        server: The model's address there, `http://HOST:PORT/v1/models/NAME` or `/v2/models/NAME`.

    Raises:
        SettingsError: It is no such address.
        StepError: The server does not answer, or counts no requests by version.
    """
    import httpx
    from prometheus_client.parser import text_string_to_metric_families

    base, model = parsed_server(server)
    url = f"{base}/metrics"
    try:
        response = httpx.get(url, timeout=_TIMEOUT, **http_options(url))
        response.raise_for_status()
        families = list(text_string_to_metric_families(response.text))
    except (httpx.HTTPError, ValueError) as error:
        raise StepError(f"{url} gives no metrics: {' '.join(str(error).split())}") from None
    if not any(family.name == _REQUESTS.removesuffix("_total") for family in families):
        raise StepError(f"{url} counts no requests by version, as darkroom serve does")
    counts: dict[int, Counts] = {}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name not in (_REQUESTS, _SECONDS) or sample.labels["model"] != model:
            continue
        of_version = counts.setdefault(int(sample.labels["version"]), Counts())
        if sample.name == _SECONDS:
            of_version.within[float(sample.labels["le"])] = int(sample.value)
        else:
            of_version.requests += int(sample.value)
            if sample.labels["status"] >= "500":
                of_version.errors += int(sample.value)
    return counts


def parsed_server(server: str) -> tuple[str, str]:
    """A server's own address and the model's name there.

    Raises:
        SettingsError: It is no model's address over HTTP.
    """
    match = _ADDRESS.fullmatch(server)
    if match is None:
        raise SettingsError(
            f"--server '{server}' is no model's address, expected http://HOST:PORT/v1/models/NAME"
        )
    return match[1], unquote(match[2])


def check_errors(canary: Counts, stable: Counts, limits: CanaryLimits) -> Check:
    """Whether more requests to the canary end with an error than to the version that serves."""
    worse_by = rate_difference(canary.errors, canary.requests, stable.errors, stable.requests)
    figures = (
        f"{canary.errors} of {canary.requests} requests, "
        f"of the version that serves {stable.errors} of {stable.requests}"
    )
    return held_to("errors", figures, worse_by, limits.error_increase)


def check_latency(canary: Counts, stable: Counts, limits: CanaryLimits) -> Check:
    """Whether the canary's answers come nearly as fast as those of the version that serves."""
    if stable.answers < _LEAST_ANSWERS:
        few = f"only {stable.answers} answers of the version that serves, {_LEAST_ANSWERS} needed"
        return Check("latency", Finding.UNDECIDED, few)
    percentile = stable.percentile()
    bound = min(bound for bound in stable.within if bound >= percentile * limits.slowdown)
    if math.isinf(bound):
        slow = f"the version that serves takes {percentile:.3g} s, beyond the server's histogram"
        return Check("latency", Finding.UNDECIDED, slow)
    slower = canary.answers - canary.within.get(bound, 0)
    low, high = rate_interval(slower, canary.answers)
    allowed = 1 - _QUANTILE
    figures = (
        f"{slower} of {canary.answers} answers over {bound * 1000:g} ms, of the version that serves"
        f" {allowed:.0%} are over {percentile * 1000:.3g} ms"
    ).replace("%", " %")
    return held_to("latency", figures, Interval(low - allowed, high - allowed), 0.0)
