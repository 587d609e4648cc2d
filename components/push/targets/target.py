"""What a push target offers to the push step, the command, the cache and lineage."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from darkroom.artifacts.model import Model
from darkroom.artifacts.push_log import Entry

PUSHED = "pushed"
"""Entry of a pushed model's manifest: its evaluation, and how it was pushed."""


@dataclasses.dataclass(frozen=True)
class PushedVersion:
    """A version of a model at a target.

    Attributes:
        number: Its number.
        location: Its path or URI.
        manifest: The model's manifest with its entry `pushed`; empty if another program put the
            version there.
    """

    number: int
    location: str
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str | None:
        """The model's digest; None if another program put the version there."""
        return self.manifest.get("digest")


class PushTarget(Protocol):
    """A place that models are pushed to.

    Each is a module of `components.push.targets` whose `TARGET` is such a class. Neither its
    constructor nor `accepts` may connect to anything: settings are validated with them.
    """

    FORM: str
    """How its destinations are written, for messages: `a folder, such as served/flowers`."""

    TAKES_CANARIES: bool
    """Whether a version may get a share of the requests; else `traffic` is always 100."""

    def __init__(self, destination: str) -> None:
        """Takes the destination."""

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """Whether a destination is written in its form."""

    def check(self) -> None:
        """Checks, before a run begins, what can be known without connecting to anything.

        Raises:
            SettingsError: It could not publish anything.
        """

    def publish(self, model: Model, traffic: int = 100) -> PushedVersion:
        """Makes a model the version that serves, or a canary, all at once and durably.

        Pushing the model that already serves again, as a retried step does, changes nothing. Where
        nothing serves yet, the model gets all requests. A canary that was there is superseded.

        Args:
            model: The checked model; its manifest's entry `pushed` says how it is pushed.
            traffic: The share of requests that it gets, in percent; below 100 it is a canary.

        Raises:
            StepError: It cannot be written.
        """

    def repository(self) -> str | None:
        """Path or URI of the model repository that the versions lie in; None where in none."""

    def current(self) -> PushedVersion | None:
        """The version that serves; None if there is none."""

    def canary(self) -> PushedVersion | None:
        """The version that gets a share of the requests; None if there is none."""

    def fetch(self, version: PushedVersion, folder: Path) -> None:
        """Copies a version's model into a folder that does not exist yet.

        Raises:
            StepError: It cannot be read, or is damaged.
        """

    def versions(self) -> Sequence[PushedVersion]:
        """All complete versions, the newest first."""

    def traffic(self) -> Mapping[int, int]:
        """The share of requests that each version gets, in percent, by its number."""

    def rolled_back(self) -> Sequence[PushedVersion]:
        """The versions that were taken out of service, the newest first."""

    def promote(self, traffic: int = 100, reason: str = "", canary: int | None = None) -> Entry:
        """Makes the canary the version that serves, or gives it another share of requests.

        Args:
            traffic: The share, in percent; at 100 the canary serves.
            reason: Why, for the log.
            canary: The number that the canary must have, if any will not do.

        Returns:
            The log's entry.

        Raises:
            SettingsError: There is no such destination.
            StepError: There is no canary.
        """

    def rollback(self, to: int | None = None, reason: str = "", canary: int | None = None) -> Entry:
        """Takes the canary back, or goes back to an earlier version, for good.

        Args:
            to: The number of the version that is to serve, which may be out of service itself; all
                above it are taken out of service. By default the canary is, and without one the
                version that serves, for the next whole one below it.
            reason: Why, for the log.
            canary: The number that the canary must have, if any will not do.

        Returns:
            The log's entry.

        Raises:
            SettingsError: There is no such destination.
            StepError: There is no version to go back to.
        """

    def prune(self, keep: int) -> Sequence[int]:
        """Removes all but the newest versions; never the one that serves, nor the canary.

        Args:
            keep: How many stay.

        Returns:
            The numbers of the removed versions.
        """

    def log(self) -> Sequence[Entry]:
        """What was done at the destination, oldest first."""


class PredictingTarget(PushTarget, Protocol):
    """A target that predicts photographs by machines of its own, as well."""

    def predict(self, photographs: Iterable[str], out: str, overwrite: bool = False) -> str:
        """Predicts photographs by the version that serves.

        The same call again gives what the first one made, as long as the photographs, the version
        and `out` are the same.

        Args:
            photographs: URIs; they are listed once the rest is found to be in order.
            out: URI of the folder that the results' folder is made in; "" where none was given.
            overwrite: Whether all is predicted anew.

        Returns:
            URI of the folder of the results, as JSON Lines.

        Raises:
            SettingsError: It cannot read them, or cannot write there.
            StepError: No version serves, or it is refused, or fails.
        """
