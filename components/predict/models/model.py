"""What a model offers that is asked for predictions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from darkroom.artifacts.model import EMBEDDING, SERVING_DEFAULT, WITH_EMBEDDING

Outputs = Mapping[str, npt.NDArray[Any]]
"""`label` (bytes), `label_index`, `probability`, `probabilities`, `labels` (bytes) of a multi-label
model, and `embedding` where it is asked for: an array each, a row a photograph."""


def signatures_to_ask(embedding: bool, at_once: bool) -> tuple[str, ...]:
    """The signatures that give what is asked for, together.

    Args:
        embedding: Whether embeddings are asked for.
        at_once: Whether the model has the signature that gives both: with it the network runs
            once. Models of releases before this one have not.
    """
    if not embedding:
        return (SERVING_DEFAULT,)
    return (WITH_EMBEDDING,) if at_once else (SERVING_DEFAULT, EMBEDDING)


class UnreadableError(Exception):
    """Raised for photographs of which the model cannot read one; it says nothing of the others."""


class TooLargeError(UnreadableError):
    """Raised where fewer photographs at a time may be answered."""


class Facts(NamedTuple):
    """What is known of a model before it is asked.

    Attributes:
        labels: The labels in the order of the probabilities; none where a server does not say.
        digest: Digest of its files; "" where a server does not say.
        version: Its number where it was pushed; else None.
        answer: Of a served model, what it says of a plain photograph: its probabilities, to three
            places. It tells apart what servers do not state the digests of.
    """

    labels: tuple[str, ...]
    digest: str
    version: int | None
    answer: tuple[float, ...] = ()


class Model(Protocol):
    """A model that is asked for predictions."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""

    @property
    def parallel(self) -> int:
        """How many batches it is asked about at a time."""

    def ask(self, images: Sequence[bytes]) -> Outputs:
        """Its answers to image files.

        Args:
            images: N image files.

        Raises:
            TooLargeError: They are too many, or too large, for one request.
            UnreadableError: It cannot read one of them.
            StepError: It does not answer.
        """

    def check(self) -> None:
        """Checks that what has answered so far is the model that the work began with.

        Raises:
            StepError: It is another.
        """


def joined(outputs: Sequence[Outputs]) -> dict[str, npt.NDArray[Any]]:
    """Answers to several batches as those to one."""
    return {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}
