"""No photograph twice: near-duplicates by their embeddings."""

import numpy as np
import numpy.typing as npt

from components.monitor.drift.distance import unit_length

Floats = npt.NDArray[np.float32]

NEAR_DUPLICATE = 0.95
"""Cosine of two embeddings from which on one photograph says little that the other did not. Of the
3,483 flowers 12 pairs are so near (MobileNetV2 0.35, 96 pixels), and each that was looked at is one
scene twice."""


class Distinct:
    """Photographs that were taken, and whether another one is new beside them.

    Args:
        embeddings: Of the photographs to take from, float32 [N, D].
        known: Of photographs that have a label, float32 [M, D].
    """

    def __init__(self, embeddings: Floats, known: Floats) -> None:
        self._unit, self._known = unit_length(embeddings), unit_length(known)
        self._taken: list[int] = []

    def take(self, place: int, beside_known: bool) -> bool:
        """Takes a photograph, if it is no near-duplicate of one that was taken.

        Args:
            place: Of the photograph.
            beside_known: Whether it must not be one of a known photograph either.

        Returns:
            Whether it was taken.
        """
        vector = self._unit[place]
        others = [self._unit[self._taken], *((self._known,) if beside_known else ())]
        if any((each @ vector).max(initial=-1) >= NEAR_DUPLICATE for each in others):
            return False
        self._taken.append(place)
        return True
