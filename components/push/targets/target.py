"""What a push target offers to the push step, the command, the cache and lineage."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from darkroom.artifacts.model import Model

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

    def __init__(self, destination: str) -> None:
        """Takes the destination."""

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """Whether a destination is written in its form."""

    def publish(self, model: Model, record: Mapping[str, Any]) -> PushedVersion:
        """Makes a model the version that serves, all at once and durably.

        Pushing the model that already serves again, as a retried step does, changes nothing.

        Args:
            model: The checked model.
            record: The entry `pushed` of the version's manifest; JSON values.

        Raises:
            StepError: It cannot be written.
        """

    def current(self) -> PushedVersion | None:
        """The version that serves; None if there is none."""

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

    def rollback(self, to: int | None = None) -> tuple[Sequence[PushedVersion], PushedVersion]:
        """Goes back to an earlier version: takes all above it out of service, for good.

        Args:
            to: The version's number, which may be out of service itself and then serves again; by
                default the next whole one below the version that serves.

        Returns:
            The versions taken out of service, and the one that serves now.

        Raises:
            SettingsError: There is no such destination.
            StepError: There is no version to go back to.
        """
