"""Vertex AI as a push target: Model Registry, and an endpoint with its traffic split.

The files, the numbers and the log of changes are a model repository's, in a bucket, as at every
bucket; what its log says to serve is what Vertex is brought to, step by step. Each step looks
before it changes anything, so that a command that was cut off is completed by the next one.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.push.targets.repository import RepositoryTarget, pushed_version
from components.push.targets.target import PushedVersion
from components.push.targets.vertex.destination import FORM, SCHEME, parsed_destination
from darkroom.artifacts.model import Model
from darkroom.artifacts.model_repository import Role, Version, find_versions
from darkroom.artifacts.push_log import Entry
from darkroom.errors import StepError

if TYPE_CHECKING:
    from components.push.targets.vertex.endpoint import ServingEndpoint
    from components.push.targets.vertex.registry import Registry

_log = logging.getLogger("darkroom.push")


class VertexTarget:
    """A model in Vertex's Model Registry, served by an endpoint or, with `only=registry`, not.

    Args:
        destination: As `parsed_destination` takes it.

    Raises:
        SettingsError: It is not of the form.
    """

    FORM = FORM
    TAKES_CANARIES = True

    def __init__(self, destination: str) -> None:
        self._destination = parsed_destination(destination)
        self._repository = RepositoryTarget(self._destination.storage, before=self._prepare)

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """Whether a destination is Vertex's, be it well written or not."""
        return destination.startswith(SCHEME)

    def check(self) -> None:
        """Nothing is known without asking Vertex."""

    def repository(self) -> str:
        """The bucket's folder that its storage is in."""
        return self._destination.storage

    def publish(self, model: Model, traffic: int = 100) -> PushedVersion:
        """Uploads and deploys a model, and then gives it requests; see `PushTarget`."""
        self._connect()
        published = self._repository.publish(model, traffic)
        self._follow_log()
        return published

    def current(self) -> PushedVersion | None:
        """The version that serves by the log, which Vertex follows."""
        return self._repository.current()

    def canary(self) -> PushedVersion | None:
        """The canary by the log."""
        return self._repository.canary()

    def versions(self) -> Sequence[PushedVersion]:
        """The versions with their files in the bucket, the highest first."""
        return self._repository.versions()

    def rolled_back(self) -> Sequence[PushedVersion]:
        """The versions out of service, the highest first."""
        return self._repository.rolled_back()

    def traffic(self) -> Mapping[int, int]:
        """What the endpoint gives each version; without an endpoint, what the log says."""
        if self._destination.registry_only:
            return self._repository.traffic()
        from components.push.targets.vertex.registry import digest_label, version_key

        registered = self._registry.versions()
        shares = self._endpoint.shares()
        there = [self.current(), self.canary(), *self.versions(), *self.rolled_back()]
        traffic: dict[int, int] = {}
        for version in there:
            if version is None or version.digest is None:
                continue
            found = registered.get(digest_label(version.digest))
            # A digest counts once, for the version that serves by the log.
            share = shares.pop(version_key(found), 0) if found else 0
            if share:
                traffic[version.number] = share
        return traffic

    def fetch(self, version: PushedVersion, folder: Path) -> None:
        """Copies a version's model from the bucket; see `PushTarget`."""
        self._repository.fetch(version, folder)

    def predict(self, photographs: Iterable[str], out: str, overwrite: bool = False) -> str:
        """Has Vertex predict photographs; see `PredictingTarget` and `predict_on_vertex`."""
        from components.push.targets.vertex.batch_prediction import checked, predict_on_vertex

        listed = checked(photographs, out)
        current = self.current()
        if current is None:
            raise StepError(f"no version serves at {self._destination.text}: push one")
        return predict_on_vertex(self._api, current, listed, out.rstrip("/"), overwrite)

    def promote(self, traffic: int = 100, reason: str = "", canary: int | None = None) -> Entry:
        """Makes the canary serve, or changes its share; see `PushTarget`."""
        completes = "promote" if traffic >= 100 else ""
        return self._changed(completes, lambda: self._repository.promote(traffic, reason, canary))

    def rollback(self, to: int | None = None, reason: str = "", canary: int | None = None) -> Entry:
        """Takes the canary back, or deploys an earlier version again; see `PushTarget`."""
        completes = "rollback" if to is None else ""
        return self._changed(completes, lambda: self._repository.rollback(to, reason, canary))

    def prune(self, keep: int) -> Sequence[int]:
        """Removes all but the newest versions, from Model Registry too; see `PushTarget`."""
        removed = self._repository.prune(keep)
        digests = (pushed_version(version).digest for version in self._folders())
        self._registry.prune(set(filter(None, digests)))
        return removed

    def log(self) -> Sequence[Entry]:
        """What was done here, oldest first."""
        return self._repository.log()

    def _changed(self, completes: str, change: Callable[[], Entry]) -> Entry:
        """Makes a change, unless it is the one that Vertex has not followed yet."""
        before = self._repository.last_entry()
        if before is not None and before.action == completes and self._follow_log():
            _log.warning("%s by %s was cut off: it is completed", before.action, before.who)
            return before
        entry = change()
        self._follow_log()
        return entry

    def _prepare(self, entry: Entry) -> None:
        """Brings a new version to Vertex, before the log says that it gets requests."""
        for version in find_versions(self._destination.storage, Role.STAGED):
            if version.number == entry.version:
                registered = self._registry.ensure(pushed_version(version))
                if not self._destination.registry_only:
                    self._endpoint.ensure_deployed(registered, version.number)

    def _follow_log(self) -> bool:
        """Brings Vertex to what the log says; whether it was anywhere else."""
        from components.push.targets.vertex.endpoint import UndeployedError

        was_elsewhere = False
        while True:
            entry = self._repository.last_entry()
            if entry is None:
                return False
            try:
                was_elsewhere |= self._follow()
            except UndeployedError:
                continue
            except StepError as error:
                raise StepError(
                    f"by the log of {self._destination.storage} version {entry.serving} serves, "
                    f"but Vertex is not there yet: {error}; the same command completes it"
                ) from None
            if self._repository.last_entry() == entry:
                return was_elsewhere

    def _follow(self) -> bool:
        from components.push.targets.vertex.registry import version_key

        serving, canary = self.current(), self.canary()
        if serving is None:
            return False
        shares = self._repository.traffic()
        there = [serving, *([canary] if canary else [])]
        registered = {version.number: self._registry.ensure(version) for version in there}
        was_elsewhere = False
        if not self._destination.registry_only:
            for version in there:
                was_elsewhere |= self._endpoint.ensure_deployed(
                    registered[version.number], version.number
                )
            wanted = {version_key(registered[number]): share for number, share in shares.items()}
            was_elsewhere |= self._endpoint.ensure_split(wanted)
            was_elsewhere |= self._endpoint.undeploy_others(wanted)
        number = canary.number if canary else None
        return self._registry.ensure_aliases(registered, serving.number, number) or was_elsewhere

    def _folders(self) -> list[Version]:
        return [
            version for role in Role for version in find_versions(self._destination.storage, role)
        ]

    def _connect(self) -> None:
        """Asks Vertex something, so that what is wrong is said before anything is written."""
        if not self._destination.registry_only:
            self._endpoint.shares()
        self._registry.versions()

    @functools.cached_property
    def _api(self) -> Any:
        from components.push.targets.vertex.api import Api

        return Api(self._destination)

    @functools.cached_property
    def _registry(self) -> "Registry":
        from components.push.targets.vertex.registry import Registry

        return Registry(self._api)

    @functools.cached_property
    def _endpoint(self) -> "ServingEndpoint":
        from components.push.targets.vertex.endpoint import ServingEndpoint

        return ServingEndpoint(self._api)
