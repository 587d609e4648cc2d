"""Numbers out of what a door gave."""

from typing import TYPE_CHECKING, Any

from darkroom.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def probabilities_of(given: Any, door: str) -> "npt.NDArray[np.float32]":
    """The probabilities of one photograph.

    Args:
        given: Numbers, [K] or [1, K].
        door: Its name, for the message.

    Raises:
        StepError: They are no numbers.
    """
    import numpy as np

    try:
        return np.asarray(given, np.float32).reshape(-1)
    except (TypeError, ValueError):
        raise StepError(f"{door} gives probabilities that are no numbers") from None


def version_number(text: str | None) -> int | None:
    """A version's number; None where a server says none, or calls its versions otherwise."""
    return int(text) if text and text.isdecimal() else None
