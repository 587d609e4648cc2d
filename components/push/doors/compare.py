"""A door's answers beside those of a proof."""

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from components.push.doors.door import Door, NoSuchServiceError
from darkroom.artifacts.proof import Proof
from darkroom.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How a door's answers differ from a proof's.

    Attributes:
        door: Its name.
        photographs: Number of photographs that it was asked for.
        furthest: Largest difference of a probability; infinite where it gave none to compare.
        image_id: The photograph of that difference.
        tolerance: The largest difference that is allowed.
        versions: The numbers of the versions that answered, where the door says so.
        problem: Why there is no answer; empty where there is.
    """

    door: str
    photographs: int
    furthest: float = float("inf")
    image_id: str = ""
    tolerance: float = 0.0
    versions: tuple[int, ...] = ()
    problem: str = ""

    @property
    def agrees(self) -> bool:
        """Whether every answer is within the tolerance."""
        return not self.problem and self.furthest <= self.tolerance

    def in_words(self) -> str:
        """One line, such as `REST …: 16 photographs, at most 1.2e-07 off`."""
        if self.problem:
            return self.problem
        if self.agrees:
            return f"{self.door}: {self.photographs} photographs, at most {self.furthest:.2g} off"
        return (
            f"{self.door}: {self.furthest:.2g} off in a probability of photograph "
            f"{self.image_id[:12]} (at most {self.tolerance:g})"
        )


def compare(
    door: Door, proof_of: Callable[[int | None], Proof], photographs: Proof
) -> Comparison | None:
    """Asks a door for a proof's photographs; None where the server has no such door.

    Args:
        door: The door.
        proof_of: The proof of the version that answered, by its number; None where the door does
            not say.
        photographs: The proof whose photographs are sent.
    """
    import numpy as np

    furthest, where, versions = 0.0, "", set()
    for image_id, image in zip(photographs.image_ids, photographs.images, strict=True):
        try:
            answer = door.ask(image)
            expected = _expected(proof_of(answer.version), image_id)
        except NoSuchServiceError:
            return None
        except StepError as error:
            problem = f"photograph {image_id[:12]}: {error}"
            return Comparison(door.name, len(photographs.images), problem=problem)
        if answer.version is not None:
            versions.add(answer.version)
        if answer.probabilities.shape != expected.shape:
            furthest, where = float("inf"), image_id
            continue
        difference = float(np.abs(answer.probabilities - expected).max())
        if math.isnan(difference):
            difference = math.inf
        if difference >= furthest:
            furthest, where = difference, image_id
    return Comparison(
        door.name,
        len(photographs.images),
        furthest,
        where,
        photographs.tolerance,
        tuple(sorted(versions)),
    )


def _expected(proof: Proof, image_id: str) -> "npt.NDArray[np.float32]":
    try:
        row: npt.NDArray[np.float32] = proof.probabilities[proof.image_ids.index(image_id)]
        return row
    except ValueError:
        raise StepError(
            f"photograph {image_id[:12]} is not in the proof of the version that answered: ask for "
            "one version, at its /versions/N"
        ) from None
