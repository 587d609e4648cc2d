"""The embeddings that a version was evaluated with, which those of windows are held against."""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from components.monitor.drift import kernel
from components.monitor.drift.kernel import ROWS
from darkroom.artifacts.reference import read_embeddings

Floats = npt.NDArray[np.float32]

FEWEST = 10
"""Photographs that say something as a whole: of a window, and of each half of a reference."""


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Embeddings of photographs that a version was evaluated on, read once they are needed.

    Attributes:
        version: Path or URI of the version's folder.
        size: Numbers of each, D.
        digest: Of the file that has them.
    """

    version: str
    size: int
    digest: str

    @functools.cached_property
    def rows(self) -> Floats:
        """All of them, in a random order, float32 [N, D].

        Raises:
            StepError: They cannot be read.
        """
        found = read_embeddings(self.version).astype(np.float32)
        return found[np.isfinite(found).all(axis=1)]

    @property
    def compared(self) -> Floats:
        """Those that a window is compared with."""
        return self.rows[:ROWS]

    @property
    def fitted(self) -> Floats:
        """The half that classifiers are fitted on."""
        return self.rows[::2]

    @property
    def held_out(self) -> Floats:
        """The other half, for ranks."""
        return self.rows[1::2]

    @functools.cached_property
    def bandwidth(self) -> float:
        """Of the kernel; 0 where they are all the same."""
        return kernel.bandwidth(self.compared) if len(self.rows) > 1 else 0.0
