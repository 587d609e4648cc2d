"""A change of an InferenceService: applied in steps, each awaited; taken back if one fails."""

import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from components.push.targets.kserve.cluster import Cluster, RefusedError, UnreachableError
from components.push.targets.kserve.destination import Destination
from components.push.targets.kserve.readiness import is_ready, newest_revision, troubles
from components.push.targets.kserve.spec import (
    Fields,
    Shares,
    fields_of,
    is_raw,
    next_fields,
    other_owner,
)
from darkroom.errors import StepError

_POLL = 2.0
_log = logging.getLogger("darkroom.push")


class _OvertakenError(StepError):
    """Another command changes the InferenceService too; its change stays."""


class Rollout:
    """Changes of one InferenceService.

    Args:
        cluster: Its cluster.
        destination: Its name and options.
    """

    def __init__(self, cluster: Cluster, destination: Destination) -> None:
        self._cluster = cluster
        self._destination = destination
        self._title = f"InferenceService {destination.namespace}/{destination.name}"

    def run(self, shares: Shares, uris: Mapping[int, str], rested_on: int | None) -> None:
        """Gives versions their shares of the requests, and waits until they have them.

        Args:
            shares: What is to be.
            uris: The URI of each version's folder.
            rested_on: The version that had the requests which a canary did not get.

        Raises:
            StepError: A version is not ready in time, or the cluster refuses; then the
                InferenceService is as it was.
        """
        before = service = self._cluster.service(self._destination.name)
        self._check(service, shares)
        is_last = is_changed = False
        try:
            while not is_last:
                fields, is_last = next_fields(
                    service, shares, uris, rested_on, self._destination.runtime
                )
                _log.info("%s: %s", self._title, _described(fields))
                older = newest_revision(service) if _is_another(service, fields) else None
                service = self._cluster.apply(fields.body(self._destination.name))
                is_changed = True
                self._check_owner(service, fields)
                service = self._awaited(service, fields, older)
        except _OvertakenError:
            raise
        except RefusedError as error:
            if not is_changed:
                raise
            raise StepError(self._taken_back(error, before)) from error
        except StepError as error:
            raise StepError(self._taken_back(error, before)) from error
        except KeyboardInterrupt:
            with contextlib.suppress(StepError):
                self._restore(before)
            raise

    def _check(self, service: Mapping[str, Any] | None, shares: Shares) -> None:
        if shares.canary is None or service is None or not is_raw(service):
            return
        if not self._cluster.has_canaries():
            raise StepError(
                f"{self._title} is a raw deployment, and this cluster's KServe knows no canary of "
                "one (spec.canary, from 0.20 on): push with push.traffic 100, or upgrade KServe"
            )

    def _check_owner(self, service: Mapping[str, Any], fields: Fields) -> None:
        if owner := other_owner(service, fields):
            raise StepError(
                f"the shares of {self._title} are set by {owner}: take canaryTrafficPercent and "
                f"canary out of what {owner} applies, and try again"
            )

    def _awaited(
        self, service: dict[str, Any], fields: Fields, older: str | None
    ) -> dict[str, Any]:
        until = time.monotonic() + self._destination.timeout
        while True:
            with contextlib.suppress(UnreachableError):  # the pods start all the same
                found = self._cluster.service(self._destination.name)
                if found is None or not _is_as_applied(found, fields):
                    raise _OvertakenError(
                        f"another command has changed {self._title} meanwhile: try again"
                    )
                service = found
                if is_ready(self._cluster, service, fields, older):
                    return service
            if time.monotonic() > until:
                raise StepError(
                    f"{self._title} is not ready after {self._destination.timeout} s: "
                    + troubles(self._cluster, service)
                )
            time.sleep(_POLL)

    def _taken_back(self, error: StepError, before: Mapping[str, Any] | None) -> str:
        """An error's message, with what has become of the InferenceService."""
        try:
            self._restore(before)
        except StepError as second:
            return f"{error} (and it could not be changed back: {second})"
        serves = "it is deleted again" if before is None else "what served before still does"
        return f"{error} ({serves})"

    def _restore(self, before: Mapping[str, Any] | None) -> None:
        """Applies what there was. Nobody waits: those pods still run, or start again as before."""
        if before is None:
            self._cluster.delete(self._destination.name)
        else:
            self._cluster.apply(fields_of(before).body(self._destination.name))


def _is_another(service: Mapping[str, Any] | None, fields: Fields) -> bool:
    """Whether fields make other pods of the predictor."""
    if service is None:
        return True
    now = fields_of(service)
    return now.uri != fields.uri or fields.runtime not in (None, now.runtime)


def _is_as_applied(service: Mapping[str, Any], fields: Fields) -> bool:
    now = fields_of(service)
    return (now.uri, now.percent, now.canary) == (fields.uri, fields.percent, fields.canary)


def _described(fields: Fields) -> str:
    if fields.canary is not None:
        return f"{fields.uri}, and {fields.canary.traffic} % of the requests to {fields.canary.uri}"
    if fields.percent is not None:
        return f"{fields.percent} % of the requests to {fields.uri}"
    return f"{fields.uri}"
