"""What a push target is: the Protocol that every module of this folder offers a class of."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from darkroom.artifacts.model import Model

PUSHED = "pushed"
"""Entry of a pushed model's manifest: its evaluation, and how it came to be pushed."""


@dataclasses.dataclass(frozen=True)
class PushedVersion:
    """A version of a model at a target.

    Attributes:
        number: Its number; higher ones are newer.
        location: Where it is: the path of its folder, or a name that the target gives it.
        manifest: The model's manifest with the entry `pushed`; empty where another program put the
            version there.
    """

    number: int
    location: str
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str | None:
        """The model's digest; None where another program put the version there."""
        return self.manifest.get("digest")


class Target(Protocol):
    """Where models are pushed to.

    A target is one module of `components/push/targets` whose `TARGET` is a class of this form; it
    is found by itself. Its constructor takes the destination, and neither it nor `takes` may
    connect to anything: settings are checked with them.

    Attributes:
        form: What its destinations look like, for messages, such as `vertex://PROJECT/ENDPOINT`.
    """

    form: ClassVar[str]

    def __init__(self, destination: str) -> None: ...

    @classmethod
    def takes(cls, destination: str) -> bool:
        """Whether a destination, as settings name it, is one of this target's."""
        ...

    def publish(self, model: Model, record: Mapping[str, Any]) -> PushedVersion:
        """Makes a model the newest version, all at once; it survives a power failure from then on.

        Publishing the model that already serves again, as a retried step does, changes nothing.

        Args:
            model: The checked model.
            record: The entry `pushed` of the version's manifest; JSON values.

        Raises:
            StepError: The model cannot be written.
        """
        ...

    def current(self) -> PushedVersion | None:
        """The version that serves; None where there is none."""
        ...

    def versions(self) -> Sequence[PushedVersion]:
        """The complete versions, oldest first."""
        ...

    def traffic(self) -> Mapping[int, int]:
        """The share of requests that each version gets, in percent, by number."""
        ...

    def rollback(self) -> tuple[PushedVersion, PushedVersion]:
        """Takes the version that serves out of service, so that the one before serves again.

        Returns:
            The version that was rolled back, and the version that serves now.

        Raises:
            SettingsError: The destination does not exist.
            StepError: There is no version to go back to.
        """
        ...
