"""What a place to push to is to the command, the cache, lineage and notices."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from darkroom.artifacts.model import Model


@dataclasses.dataclass(frozen=True)
class PushedVersion:
    """A version of a model where it serves.

    Attributes:
        number: Its number.
        location: Its path or URI.
        digest: Digest of the model; None of one that someone else put there.
    """

    number: int
    location: str
    digest: str | None


class PushTarget(Protocol):
    """A place that models are pushed to.

    A module of `components.push.targets` offers one as its `TARGET`: a class that is made of the
    destination.
    """

    FORM: str
    """How its destinations are written, for messages: `a folder, such as served/flowers`."""

    def __init__(self, destination: str) -> None:
        """Takes the destination; it is not asked yet."""

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """Whether a destination is written in its form."""

    def publish(self, model: Model, record: Mapping[str, Any]) -> PushedVersion:
        """Makes a model the version that serves, all at once.

        Pushing the model that already serves again, as a retried step does, changes nothing.

        Args:
            model: The checked model.
            record: What the version's manifest says of the push; JSON values.

        Raises:
            StepError: It cannot be written.
        """

    def current(self) -> PushedVersion | None:
        """The version that serves; None where none does."""

    def versions(self) -> Sequence[PushedVersion]:
        """All versions that can serve, the newest first."""

    def traffic(self) -> Mapping[int, int]:
        """Percent of the requests that each version gets, by its number."""

    def rollback(self) -> tuple[PushedVersion, PushedVersion]:
        """Takes the version that serves out of service, for good.

        Returns:
            The version rolled back, and the one that serves now.

        Raises:
            SettingsError: There is no such destination.
            StepError: There is no version to go back to.
        """
