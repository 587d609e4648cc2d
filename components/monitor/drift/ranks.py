"""The ranks of photographs among those of a reference: one scale for any measure.

The rank of a photograph's brightness is the share of the reference that is darker. Its mean is a
half if nothing changes, and otherwise the probability that a new photograph is brighter than one of
the reference (the statistic of Mann and Whitney): it needs no unit, and no bound for sharpness.
"""

import numpy as np
import numpy.typing as npt


def ranks(values: npt.ArrayLike, reference: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The ranks of values among those of a reference, float64 [N], from 0 to 1.

    Args:
        values: [N].
        reference: [M]; at least one. Equal values count half.

    >>> ranks([1, 2, 9], [1, 2, 3, 4]).tolist()
    [0.125, 0.375, 1.0]
    """
    ordered = np.sort(np.asarray(reference))
    below = np.searchsorted(ordered, values, "left")
    not_above = np.searchsorted(ordered, values, "right")
    found: npt.NDArray[np.float64] = (below + not_above) / (2 * len(ordered))
    return found


def ranks_in_histogram(
    values: npt.ArrayLike, edges: npt.ArrayLike, counts: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """The ranks of values by a histogram, as ingest's statistics keep them: float64 [N].

    Args:
        values: [N].
        edges: Inner edges of the bins, ascending, [B - 1].
        counts: Photographs of the reference in each bin, [B]. A bin's values share a rank.

    >>> ranks_in_histogram([40, 200], edges=[100], counts=[30, 10]).tolist()
    [0.375, 0.875]
    """
    held = np.asarray(counts, np.float64)
    middles = (np.cumsum(held) - held / 2) / held.sum()
    found: npt.NDArray[np.float64] = middles[np.searchsorted(edges, values, "right")]
    return found
