"""The fields of an InferenceService that a push sets, and in which steps they change.

KServe has two ways to share requests between two versions, by how it deploys a service:

- As a Knative service, the predictor itself is the canary: `canaryTrafficPercent` of the requests
  go to its newest revision, the others to the one that had all of them last.
- As a raw deployment (`Standard`), from KServe 0.20 on, canaries are listed in `spec.canary`,
  beside the predictor. When a canary is promoted, the predictor takes its name, and
  its pods keep running.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from components.push.targets.kserve.cluster import MANAGER

_MODE = "serving.kserve.io/deploymentMode"
_RAW_MODES = ("Standard", "RawDeployment")
_OUR_NAME = re.compile(r"v[0-9]+")
_CONTAINER = "kserve-container"
_FORMAT = {"name": "tensorflow"}


@dataclasses.dataclass(frozen=True)
class Shares:
    """Which versions get the requests.

    Attributes:
        serving: The number of the version that serves.
        canary: The canary's number; None without one.
        traffic: The canary's share, in percent.
    """

    serving: int
    canary: int | None = None
    traffic: int = 0


@dataclasses.dataclass(frozen=True)
class Canary:
    """An entry of `spec.canary`."""

    name: str
    uri: str
    traffic: int


@dataclasses.dataclass(frozen=True)
class Fields:
    """What a push sets of an InferenceService, and nothing else.

    Attributes:
        uri: The predictor's `storageUri`; None where it has none.
        percent: The predictor's `canaryTrafficPercent`.
        name: The predictor's name.
        canary: Its canary in a raw deployment.
        runtime: The model's ServingRuntime.
    """

    uri: str | None
    percent: int | None = None
    name: str | None = None
    canary: Canary | None = None
    runtime: str | None = None

    def body(self, name: str) -> dict[str, Any]:
        """The InferenceService to apply."""
        predictor: dict[str, Any] = {"model": self._model(self.uri)}
        if self.name is not None:
            predictor["name"] = self.name
        if self.percent is not None:
            predictor["canaryTrafficPercent"] = self.percent
        spec: dict[str, Any] = {"predictor": predictor}
        if self.canary is not None:
            # KServe lays it over the predictor: resources and the like are the same. The CRD wants
            # the container's name here, which it does not want in the predictor.
            model = {"name": _CONTAINER, **self._model(self.canary.uri)}
            other = {"name": self.canary.name, "model": model}
            spec["canary"] = [{"predictor": other, "trafficPercent": self.canary.traffic}]
        return {"metadata": {"name": name}, "spec": spec}

    def _model(self, uri: str | None) -> dict[str, Any]:
        given = {"storageUri": uri, "runtime": self.runtime}
        return {"modelFormat": _FORMAT, **{key: v for key, v in given.items() if v is not None}}


def fields_of(service: Mapping[str, Any]) -> Fields:
    """The fields of an InferenceService as it is."""
    predictor = service.get("spec", {}).get("predictor", {})
    canaries = service.get("spec", {}).get("canary") or ()
    return Fields(
        uri=predictor.get("model", {}).get("storageUri"),
        percent=predictor.get("canaryTrafficPercent"),
        name=predictor.get("name"),
        canary=_canary(canaries[0]) if canaries else None,
        runtime=predictor.get("model", {}).get("runtime"),
    )


def _canary(entry: Mapping[str, Any]) -> Canary:
    predictor = entry.get("predictor", {})
    uri = predictor.get("model", {}).get("storageUri", "")
    return Canary(predictor.get("name", ""), uri, entry.get("trafficPercent", 0))


def is_raw(service: Mapping[str, Any]) -> bool:
    """Whether KServe deploys it without Knative."""
    annotations = service.get("metadata", {}).get("annotations") or {}
    mode = service.get("status", {}).get("deploymentMode") or annotations.get(_MODE)
    return mode in _RAW_MODES


def next_fields(
    service: Mapping[str, Any] | None,
    shares: Shares,
    uris: Mapping[int, str],
    rested_on: int | None,
    runtime: str | None,
) -> tuple[Fields, bool]:
    """The next step to shares of the requests, and whether it is the last.

    In each step every request goes to a version that may have it.

    Args:
        service: The InferenceService as it is; None if there is none.
        shares: What is to be.
        uris: The URI of each version's folder.
        rested_on: The number of the version that has the requests which a canary does not get.
        runtime: The ServingRuntime to use.
    """
    uri = uris[shares.serving]
    if service is None:
        return Fields(uri, runtime=runtime), shares.canary is None
    now = fields_of(service)
    if shares.canary is not None and is_raw(service):
        name = f"v{shares.canary}"
        canary = Canary(name, uris[shares.canary], shares.traffic)
        return Fields(uri, None, _name(now, uri), canary, runtime), True
    if shares.canary is not None and _rests(now, uri, shares.serving, rested_on):
        return Fields(uris[shares.canary], shares.traffic, runtime=runtime), True
    if now.percent is not None and now.uri != uri:
        # Until the new revision is ready Knative's newest is the canary's: it must get nothing.
        return Fields(uri, 0, runtime=runtime), False
    return Fields(uri, None, _name(now, uri), runtime=runtime), shares.canary is None


def _rests(now: Fields, uri: str, serving: int, rested_on: int | None) -> bool:
    """Whether what the canary does not get goes to the version that is to serve."""
    return now.uri == uri if now.percent is None else rested_on == serving


def _name(now: Fields, uri: str) -> str | None:
    """The predictor's name: a promoted canary's; otherwise it stays, or the pods would go first."""
    if now.canary is not None and now.canary.uri == uri:
        return now.canary.name
    return now.name if now.name is not None and _OUR_NAME.fullmatch(now.name) else None


def other_owner(service: Mapping[str, Any], wanted: Fields) -> str | None:
    """Who else sets a field that shares the requests differently; None if nobody does."""
    now = fields_of(service)
    if (now.percent, now.canary) == (wanted.percent, wanted.canary):
        return None
    for entry in service.get("metadata", {}).get("managedFields") or ():
        spec = entry.get("fieldsV1", {}).get("f:spec", {})
        shares = "f:canary" in spec or "f:canaryTrafficPercent" in spec.get("f:predictor", {})
        if shares and entry.get("manager") != MANAGER:
            return str(entry.get("manager"))
    return "somebody else"
