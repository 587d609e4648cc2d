"""A KServe InferenceService, and the bucket that its versions are in.

The versions are those of a model repository in the bucket: it gives the numbers, keeps the log and
says which version serves. KServe is told first: a version is logged as the one that serves only
once its pods are ready, and a rollback, too, is made in the cluster and then in the repository. So
a command that fails leaves both as they were, and one that was killed in between is done again.

The repository's folders take other names as a version is promoted or rolled back, but a pod that
restarts must find what its InferenceService names. It reads a copy that is never renamed, and
that only `prune` removes: `kserve/5-0e1f2a3b4c5d/5/saved_model.pb`. A base path of one version is
also what TF Serving wants, which would take the highest of a whole repository, whatever had been
applied. The digest is in the name, since the number of a push that failed is given again; and no
name begins another, since KServe takes all objects of an S3 bucket that begin alike.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.push.targets.kserve import destination as destinations
from components.push.targets.kserve.cluster import Cluster
from components.push.targets.kserve.rollout import Rollout
from components.push.targets.kserve.spec import Fields, Shares, fields_of
from components.push.targets.repository import RepositoryTarget, pushed_version
from components.push.targets.target import PushedVersion
from darkroom.artifacts import model_repository
from darkroom.artifacts.model import Model
from darkroom.artifacts.model_repository import LAST_FILES, Role, Version
from darkroom.artifacts.push_log import Entry
from darkroom.errors import StepError
from darkroom.storage import files, folders

_COPIES = "kserve"
_COPY = re.compile(r"([0-9]{1,18})-[0-9a-f]{12}")
_SOURCES = (Role.STAGED, Role.SERVED, Role.CANARY, Role.ROLLED_BACK, Role.SUPERSEDED)


class KServeTarget:
    """An InferenceService, created where it is missing.

    Args:
        destination: `kserve://NAMESPACE/NAME?storage=URI`, and further options of `Destination`.

    Raises:
        SettingsError: It is not of this form.
    """

    FORM = destinations.FORM
    TAKES_CANARIES = True

    def __init__(self, destination: str) -> None:
        self._destination = destinations.parsed_destination(destination)
        self._storage = self._destination.storage
        self._repository = RepositoryTarget(self._storage, before=self._serve)

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """Whether a destination begins as its own do."""
        return destination.startswith(destinations.SCHEME)

    def check(self) -> None:
        """Nothing is known without asking the cluster."""

    def repository(self) -> str:
        """The bucket's folder that its storage is in."""
        return self._destination.storage

    def publish(self, model: Model, traffic: int = 100) -> PushedVersion:
        """Makes a model the version that serves, or a canary, once it is ready."""
        # A cluster that cannot be reached, or refuses, says so before the model is uploaded.
        self._cluster.service(self._destination.name)
        before = self._repository.last_entry()
        published = self._repository.publish(model, traffic)
        current, canary = self.current(), self.canary()
        if self._repository.last_entry() == before and current is not None:
            # By the log it serves already: the cluster is brought back to what the log says.
            number = canary.number if canary is not None else None
            share = self.traffic().get(canary.number, 0) if canary is not None else 0
            self._roll_out(Shares(current.number, number, share))
        return published

    def current(self) -> PushedVersion | None:
        """The version that serves, by the log; the cluster is not asked."""
        return self._repository.current()

    def canary(self) -> PushedVersion | None:
        """The version that gets a share of the requests, by the log."""
        return self._repository.canary()

    def fetch(self, version: PushedVersion, folder: Path) -> None:
        """Copies a version's model into a folder; see `PushTarget`."""
        self._repository.fetch(version, folder)

    def versions(self) -> Sequence[PushedVersion]:
        """The complete versions, the highest first."""
        return self._repository.versions()

    def traffic(self) -> Mapping[int, int]:
        """The canary's share and the other's, which KServe gives them."""
        return self._repository.traffic()

    def rolled_back(self) -> Sequence[PushedVersion]:
        """The versions out of service, the highest first."""
        return self._repository.rolled_back()

    def promote(self, traffic: int = 100, reason: str = "", canary: int | None = None) -> Entry:
        """Makes the canary serve, or changes its share, once that is so in the cluster."""
        return self._repository.promote(traffic, reason, canary)

    def rollback(self, to: int | None = None, reason: str = "", canary: int | None = None) -> Entry:
        """Takes the canary back, or goes back, once the other version is ready."""
        return self._repository.rollback(to, reason, canary)

    def prune(self, keep: int) -> Sequence[int]:
        """Removes all but the newest versions, and their copies; see `PushTarget`."""
        removed = self._repository.prune(keep)
        self._remove_copies()
        return removed

    def log(self) -> Sequence[Entry]:
        """What was done here, oldest first."""
        return self._repository.log()

    @functools.cached_property
    def _cluster(self) -> Cluster:
        return Cluster(self._destination.namespace)

    def _serve(self, entry: Entry) -> None:
        """Does in the cluster what is then logged."""
        self._roll_out(Shares(entry.serving, entry.canary, entry.traffic))

    def _roll_out(self, shares: Shares) -> None:
        numbers = [number for number in (shares.serving, shares.canary) if number is not None]
        uris = {number: self._copied(number) for number in numbers}
        last = self._repository.last_entry()
        rested_on = last.serving if last is not None else None
        Rollout(self._cluster, self._destination).run(shares, uris, rested_on)

    def _copied(self, number: int) -> str:
        """The URI of a base path with a version, which is copied there once."""
        source = self._source(number)
        # What another program put there has no digest, but keeps its number.
        digest = pushed_version(source).digest or 12 * "0"
        base = f"{self._storage}/{_COPIES}/{number}-{digest[:12]}"
        copy = f"{base}/{number}"
        if not model_repository.is_complete(copy):
            with (
                files.clear_errors(f"cannot write {copy}", StepError),
                folders.read_folder(source.location) as folder,
            ):
                folders.upload_folder(folder, copy, LAST_FILES)
        return base

    def _source(self, number: int) -> Version:
        for role in _SOURCES:
            for version in model_repository.find_versions(self._storage, role):
                if version.number == number:
                    return version
        raise StepError(f"{self._storage} has no version {number}")

    def _remove_copies(self) -> None:
        """Removes copies of versions that are gone, also those of pushes that failed."""
        place = f"{self._storage}/{_COPIES}"
        matches = map(_COPY.fullmatch, model_repository.listed(place)[0])
        names = model_repository.listed(self._storage)[0]
        kept = {parsed[0] for parsed in map(model_repository.parsed_name, names) if parsed}
        gone = [f"{place}/{match[0]}" for match in matches if match and int(match[1]) not in kept]
        if not gone:
            return
        service = self._cluster.service(self._destination.name)
        used = fields_of(service) if service is not None else Fields(None)
        in_use = (used.uri, used.canary.uri if used.canary is not None else None)
        for location in gone:
            if location not in in_use:
                with files.clear_errors(f"cannot remove {location}", StepError):
                    folders.delete_folder(location)
