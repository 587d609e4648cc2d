"""KServe's controller, as far as a push goes: what it makes of an InferenceService, in steps.

What is read of it first is out of date, as in a cluster.
"""

import dataclasses
import re
from typing import Any

from darkroom.artifacts.model_repository import is_complete

SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"


@dataclasses.dataclass
class Pods:
    """Pods of one version: of a Knative revision, or of a Deployment."""

    name: str
    uri: str
    is_ready: bool = False
    before: "Pods | None" = None
    """Those that a Deployment rolls away."""
    generation: int = 1


class Controller:
    """Deploys the InferenceService `flowers`, once there is one.

    Attributes:
        mode: How KServe deploys: `Knative` or `Standard`.
        service: The InferenceService.
        never_ready: Numbers of versions whose pods do not start.
        shares: What the versions got of the requests, at each moment where that changed.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.service: dict[str, Any] | None = None
        self.never_ready: set[int] = set()
        self.shares: list[dict[int, int]] = []
        self.missing: list[str] = []
        self.is_reconciled = True
        self.revisions: list[Pods] = []
        self.deployments: dict[str, Pods] = {}
        self.rolled_out: Pods | None = None

    @property
    def predictor(self) -> dict[str, Any]:
        assert self.service is not None
        predictor: dict[str, Any] = self.service["spec"]["predictor"]
        return predictor

    def restart_pods(self) -> None:
        """Starts all pods that have requests anew: each must find its folder."""
        for pods in self._in_use():
            self._check_folder(pods.uri)
        assert not self.missing

    def settle(self) -> None:
        """Lets the controller come to an end."""
        for _ in range(6):
            self.step()

    def step(self) -> None:
        """Moves the controller one step."""
        if self.service is None:
            return
        if self.mode == "Knative":
            self._step_knative()
        else:
            self._step_raw()
        self.is_reconciled = True

    def _step_knative(self) -> None:
        uri, percent = self.predictor["model"].get("storageUri"), self._percent()
        if not self.is_reconciled and (not self.revisions or self.revisions[-1].uri != uri):
            self.revisions.append(Pods(f"flowers-{len(self.revisions) + 1:05d}", uri))
            self._check_folder(uri)
        elif self.revisions and not self.revisions[-1].is_ready:
            self.revisions[-1].is_ready = self._starts(uri)
        newest = next((each for each in reversed(self.revisions) if each.is_ready), None)
        traffic = []
        if newest is not None:
            share = 100 if percent is None or self.rolled_out is None else percent
            traffic.append((newest, share, True))
            if share < 100 and self.rolled_out is not None:
                traffic.append((self.rolled_out, 100 - share, False))
            if share == 100:
                self.rolled_out = newest
        self._note([(pods.uri, share) for pods, share, _ in traffic])
        created = self.revisions[-1]
        self._set_status(
            created.is_ready,
            components={
                "predictor": {
                    "latestCreatedRevision": created.name,
                    "latestReadyRevision": newest.name if newest else None,
                    "traffic": [
                        {"revisionName": p.name, "percent": s, "latestRevision": is_latest}
                        for p, s, is_latest in traffic
                    ],
                }
            },
        )

    def _step_raw(self) -> None:
        assert self.service is not None
        spec = self.service["spec"]
        wanted = {"flowers": spec["predictor"]}
        if name := spec["predictor"].get("name"):
            wanted = {f"flowers-{name}": spec["predictor"]}
        stable = next(iter(wanted))
        canaries = spec.get("canary", [])
        wanted |= {f"flowers-{each['predictor']['name']}": each["predictor"] for each in canaries}
        if self.is_reconciled:
            for pods in self.deployments.values():
                if not pods.is_ready and self._starts(pods.uri):
                    pods.is_ready, pods.before = True, None
        self.deployments = {
            name: self._deployed(name, predictor["model"]["storageUri"])
            for name, predictor in wanted.items()
        }
        statuses, shares, rest = [], [], 100
        for canary in canaries:
            pods = self.deployments[f"flowers-{canary['predictor']['name']}"]
            share = canary["trafficPercent"]
            statuses.append(
                {"name": canary["predictor"]["name"], "ready": pods.is_ready}
                | {"trafficPercent": share}
            )
            if pods.is_ready:
                shares.append((pods.uri, share))
                rest -= share
        pods = self.deployments[stable]
        available = pods if pods.is_ready else pods.before
        if available is not None:
            shares.append((available.uri, rest))
        self._note(shares)
        # The trap: the old pods are available while the new ones start.
        self._set_status(available is not None, canaryStatuses=statuses)

    def _deployed(self, name: str, uri: str) -> Pods:
        now = self.deployments.get(name)
        if now is not None and now.uri == uri:
            return now
        self._check_folder(uri)
        before = None if now is None else now if now.is_ready else now.before
        return Pods(name, uri, before=before, generation=now.generation + 1 if now else 1)

    def _set_status(self, is_ready: bool, **further: Any) -> None:
        assert self.service is not None
        conditions = [{"type": "Ready", "status": "True"}]
        if not is_ready:
            conditions = [
                {"type": "PredictorReady", "status": "False"}
                | {"reason": "RevisionFailed", "message": "0 of 1 pods\nare ready"},
                {"type": "Ready", "status": "False", "reason": "RevisionFailed"},
            ]
        status = {"deploymentMode": self.mode, "observedGeneration": 1, "conditions": conditions}
        self.service["status"] = status | further

    def _percent(self) -> int | None:
        percent: int | None = self.predictor.get("canaryTrafficPercent")
        return percent

    def _starts(self, uri: str) -> bool:
        return number_of(uri) not in self.never_ready and uri not in self.missing

    def _check_folder(self, uri: str) -> None:
        if not is_complete(f"{uri}/{number_of(uri)}"):
            self.missing.append(uri)

    def _in_use(self) -> list[Pods]:
        if self.mode == "Standard":
            return list(self.deployments.values())
        newest = [each for each in self.revisions if each.is_ready][-1:]
        return [*newest, *([self.rolled_out] if self.rolled_out else [])]

    def _note(self, given: list[tuple[str, int]]) -> None:
        numbers: dict[int, int] = {}
        for uri, share in given:
            numbers[number_of(uri)] = numbers.get(number_of(uri), 0) + share
        now = {number: share for number, share in sorted(numbers.items()) if share}
        if now and self.shares[-1:] != [now]:
            self.shares.append(now)


def number_of(uri: str) -> int:
    """The version that a storage URI names."""
    match = re.fullmatch(r".*/kserve/([0-9]+)-[0-9a-f]{12}", uri)
    assert match is not None, uri
    return int(match[1])
