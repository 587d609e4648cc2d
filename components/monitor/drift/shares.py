"""What is tested of a window, all of it shares: counts by the name of a test.

    label=roses        photographs that were given this label
    file_format=PNG    photographs of this format
    brightness<96      photographs that are darker than this
    confidence<0.9     answers that are less sure than this

A measure is cut at three fixed values near the quartiles of the reference, so that a shift and a
wider spread both show, and a histogram is all that the reference needs (ingest's statistics are
one). `changed_share` says of each whether it has changed.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from components.monitor.sequential.changed_share import Counted
from darkroom.artifacts import statistics

EDGES: dict[str, tuple[float, ...]] = {
    **statistics.EDGES,
    "confidence": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99, 0.995, 0.999),
    "entropy": (0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
}
"""Where each measure may be cut. Fixed, so that cuts owe nothing to the values that are tested."""
_QUARTILES = (0.25, 0.5, 0.75)
_RARE = 0.02
"""A cut with fewer on a side tells little."""


def shares_of(name: str, counts: Mapping[str, int], known: Sequence[str]) -> dict[str, Counted]:
    """Counts by value, such as photographs by given label or format.

    Args:
        name: Of what it is, such as `label`.
        counts: Photographs by value.
        known: The values that are tested: those of the reference. Others count as none of them.

    >>> shares_of("label", {"roses": 3, "daisy": 1, "oak": 1}, known=["roses", "tulips"])
    {'label=roses': Counted(hits=3, total=5), 'label=tulips': Counted(hits=0, total=5)}
    """
    everything = sum(counts.values())
    return {f"{name}={value}": Counted(counts.get(value, 0), everything) for value in known}


def histogram(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Values by bin, as ingest's statistics count them: int64, one more than `EDGES` of the name.

    Args:
        name: Of the measure.
        values: [N]; those that are not a number are left out.
    """
    found = np.asarray(values, np.float64)
    bins = np.searchsorted(EDGES[name], found[~np.isnan(found)], "right")
    return np.bincount(bins, minlength=len(EDGES[name]) + 1)


def cut_points(name: str, reference: npt.ArrayLike) -> list[float]:
    """Where a measure is cut: at the edges that are nearest to the reference's quartiles.

    Args:
        name: Of the measure.
        reference: Its photographs by bin, as `histogram` or ingest's statistics count them.

    Returns:
        Up to three, ascending; none where nearly all photographs are in one bin.

    >>> cut_points("brightness", histogram("brightness", range(0, 200)))
    [48, 96, 144]
    """
    below = np.cumsum(reference)[:-1] / max(np.sum(reference), 1)
    useful = np.flatnonzero((below >= _RARE) & (below <= 1 - _RARE))
    if not useful.size:
        return []
    nearest = {int(useful[np.abs(below[useful] - part).argmin()]) for part in _QUARTILES}
    return [EDGES[name][place] for place in sorted(nearest)]


def shares_below(name: str, counts: npt.ArrayLike, cuts: Sequence[float]) -> dict[str, Counted]:
    """Photographs below each cut.

    Args:
        name: Of the measure.
        counts: Of the window or the reference, by bin.
        cuts: As `cut_points` chose them.

    >>> dark = histogram("brightness", [10, 20, 100, 200])
    >>> shares_below("brightness", dark, [96])
    {'brightness<96': Counted(hits=2, total=4)}
    """
    below = np.cumsum(counts)
    places = [EDGES[name].index(cut) for cut in cuts]
    return {
        f"{name}<{cut:g}": Counted(int(below[place]), int(below[-1]))
        for cut, place in zip(cuts, places, strict=True)
    }
