"""Whether an InferenceService serves what was applied, and what keeps it from that."""

from collections.abc import Mapping
from typing import Any

from components.push.targets.kserve.cluster import Cluster
from components.push.targets.kserve.spec import Fields, is_raw
from darkroom.errors import StepError

_SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
"""KServe's note in a Deployment of the folder that its pods read."""
_EVENTS = 3
_LONGEST = 300


def newest_revision(service: Mapping[str, Any] | None) -> str | None:
    """The newest Knative revision of the predictor."""
    created: str | None = _predictor_status(service or {}).get("latestCreatedRevision")
    return created


def is_ready(
    cluster: Cluster, service: Mapping[str, Any], fields: Fields, older: str | None
) -> bool:
    """Whether it serves what was applied; each version gets its share.

    The condition Ready is not enough: while a new version starts it says that the old one is
    ready, and `observedGeneration` is that of what KServe has made of the InferenceService.

    Args:
        cluster: Its cluster.
        service: It, as it is now.
        fields: What was applied.
        older: The newest revision before that, where the change makes another one.
    """
    conditions = service.get("status", {}).get("conditions") or ()
    if ("Ready", "True") not in [(each["type"], each["status"]) for each in conditions]:
        return False
    if is_raw(service):
        return _is_deployed(cluster, service, fields)
    predictor = _predictor_status(service)
    newest = predictor.get("latestCreatedRevision")
    if newest == older or newest != predictor.get("latestReadyRevision"):
        return False
    traffic = predictor.get("traffic") or ()
    share = sum(each.get("percent") or 0 for each in traffic if each.get("latestRevision"))
    return share == (100 if fields.percent is None else fields.percent)


def _is_deployed(cluster: Cluster, service: Mapping[str, Any], fields: Fields) -> bool:
    name = service["metadata"]["name"]
    statuses = service.get("status", {}).get("canaryStatuses") or ()
    shares = [(each["name"], each["ready"], each["trafficPercent"]) for each in statuses]
    if fields.canary is None:
        return not shares and _has_rolled_out(cluster, name, fields.name, fields.uri)
    return (
        shares == [(fields.canary.name, True, fields.canary.traffic)]
        and _has_rolled_out(cluster, name, fields.name, fields.uri)
        and _has_rolled_out(cluster, name, fields.canary.name, fields.canary.uri)
    )


def _has_rolled_out(cluster: Cluster, service: str, name: str | None, uri: str | None) -> bool:
    """Whether all pods of a Deployment are new and available, as `kubectl rollout status` asks."""
    predictor = f"{service}-{name}" if name else service
    deployment = cluster.deployment(f"{predictor}-predictor")
    if deployment is None:
        return False
    spec, status = deployment["spec"], deployment.get("status", {})
    source = (spec["template"]["metadata"].get("annotations") or {}).get(_SOURCE)
    wanted = spec.get("replicas", 1)
    return (
        source == uri
        and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("replicas", 0) <= status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= wanted
    )


def troubles(cluster: Cluster, service: Mapping[str, Any]) -> str:
    """What an InferenceService and the newest events of its pods say, in one line."""
    status = service.get("status", {})
    said = [
        " ".join(filter(None, (each["type"], each.get("reason"), each.get("message"))))
        for each in status.get("conditions") or ()
        if each["status"] != "True"
    ]
    failure = status.get("modelStatus", {}).get("lastFailureInfo") or {}
    if failure:
        said.append(" ".join(filter(None, (failure.get("reason"), failure.get("message")))))
    said += _events(cluster, service["metadata"]["name"])
    lines = [" ".join(text.split())[:_LONGEST] for text in said]
    return "; ".join(dict.fromkeys(lines)) or "KServe says nothing of it"


def _events(cluster: Cluster, service: str) -> list[str]:
    try:
        pods = {pod["metadata"]["name"] for pod in cluster.pods(service)}
        events = [each for each in cluster.events() if each["involvedObject"].get("name") in pods]
    except StepError as error:
        return [f"its events cannot be read: {error}"]
    warnings = [each for each in events if each.get("type") != "Normal"]
    newest = sorted(warnings or events, key=lambda each: str(_time(each)))[-_EVENTS:]
    return [
        f"pod {each['involvedObject']['name']}: {each.get('reason')} {each.get('message')}"
        for each in newest
    ]


def _time(event: Mapping[str, Any]) -> Any:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((time for time in times if time), event["metadata"].get("creationTimestamp"))


def _predictor_status(service: Mapping[str, Any]) -> Mapping[str, Any]:
    status: Mapping[str, Any] = service.get("status", {}).get("components", {}).get("predictor", {})
    return status
