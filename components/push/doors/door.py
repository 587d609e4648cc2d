"""What a door offers: the answers to photographs, one at a time, as a client gets them."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

from darkroom.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

TIMEOUT = 60.0
"""Seconds that an answer may take."""


class NoSuchServiceError(StepError):
    """A server that does not speak a door's protocol."""


class Answer(NamedTuple):
    """An answer to a photograph.

    Attributes:
        probabilities: float32 [K].
        version: The number of the version that gave it; None where a door does not say.
    """

    probabilities: "npt.NDArray[np.float32]"
    version: int | None


class Door(Protocol):
    """A way to ask a model."""

    @property
    def name(self) -> str:
        """For people, with the address."""

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph.

        Raises:
            StepError: There is no answer, or none with probabilities; the message says why.
        """

    def close(self) -> None:
        """Ends its connection."""
