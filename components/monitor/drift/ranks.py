"""The ranks of photographs among those of a reference: one scale for any measure.

The rank of a photograph's brightness is the share of the reference that is darker, equal ones
counted half. Its mean is a half if nothing changes, and otherwise the probability that a new
photograph is brighter than one of the reference (the statistic of Mann and Whitney): it needs no
unit, and no bound for sharpness.
"""

import dataclasses
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Distribution(Protocol):
    """How a measure is distributed in the reference."""

    @property
    def count(self) -> int:
        """Photographs of the reference."""

    def ranks(self, values: npt.ArrayLike) -> Floats:
        """The ranks of values [N], float64 [N] from 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """A measure of each photograph of the reference.

    Attributes:
        values: [M], at least one.

    >>> Sample([1, 2, 3, 4]).ranks([1, 2, 9]).tolist()
    [0.125, 0.375, 1.0]
    """

    values: npt.ArrayLike

    @property
    def count(self) -> int:
        """Photographs of the reference, M."""
        return len(np.asarray(self.values))

    def ranks(self, values: npt.ArrayLike) -> Floats:
        """The ranks of values [N], float64 [N] from 0 to 1."""
        ordered = np.sort(np.asarray(self.values))
        below = np.searchsorted(ordered, values, "left")
        not_above = np.searchsorted(ordered, values, "right")
        found: Floats = (below + not_above) / (2 * len(ordered))
        return found


@dataclasses.dataclass(frozen=True)
class Histogram:
    """A measure of the reference in bins, as ingest's statistics keep it.

    Attributes:
        edges: Inner edges of the bins, ascending, [B - 1].
        counts: Photographs in each bin, [B], at least one in all. Those of a bin share a rank.

    >>> Histogram(edges=[100], counts=[30, 10]).ranks([40, 200]).tolist()
    [0.375, 0.875]
    """

    edges: npt.ArrayLike
    counts: npt.ArrayLike

    @property
    def count(self) -> int:
        """Photographs of the reference."""
        return int(np.sum(self.counts))

    def ranks(self, values: npt.ArrayLike) -> Floats:
        """The ranks of values [N], float64 [N] from 0 to 1."""
        held = np.asarray(self.counts, np.float64)
        middles = (np.cumsum(held) - held / 2) / held.sum()
        found: Floats = middles[np.searchsorted(self.edges, values, "right")]
        return found
