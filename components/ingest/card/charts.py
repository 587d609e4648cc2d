"""The data card's charts: histograms as plain numbers, which its template draws as SVG.

A plotting library would cost a run more time to import than all else that the card needs.
"""

import dataclasses
from collections.abc import Sequence

from darkroom.artifacts.statistics import EDGES, Distributions

TITLES = {
    "height": "Height, pixels",
    "width": "Width, pixels",
    "aspect": "Aspect, width / height",
    "brightness": "Brightness, mean grey value",
    "contrast": "Contrast, deviation of grey values",
    "sharpness": "Sharpness, variance of the Laplacian",
}
MOST_TICKS = 7


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bin of a histogram.

    Attributes:
        share: Part of the photographs, 0 to 1.
        count: Photographs.
        previous: Part of an earlier run's photographs; None without one.
        span: The bin's values, such as `16 to 32`.
    """

    share: float
    count: int
    previous: float | None
    span: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """A histogram without the empty bins at its ends.

    Attributes:
        name: Of the distribution, such as `brightness`.
        title: Its name and unit for people.
        bars: The bins.
        ticks: Places between bars, from 0 on, and its text.
        top: The largest share.
        low: Bin of which, and of those before it, 5 % of the photographs are.
        median: Bin of the photograph in the middle.
        high: Bin of which, and of those before it, 95 % are.
    """

    name: str
    title: str
    bars: list[Bar]
    ticks: list[tuple[int, str]]
    top: float
    low: str
    median: str
    high: str


def charts(overall: Distributions, previous: Distributions | None = None) -> list[Chart]:
    """A chart of each distribution, with an earlier run's where there is one."""
    return [
        _chart(name, overall.histograms[name], previous.histograms[name] if previous else None)
        for name in EDGES
    ]


def _chart(name: str, histogram: Sequence[int], previous: Sequence[int] | None) -> Chart:
    first, last = _filled(histogram, previous)
    shares, before = _shares(histogram), _shares(previous) if previous else None
    bars = [
        Bar(shares[place], histogram[place], before[place] if before else None, span(name, place))
        for place in range(first, last + 1)
    ]
    edges = [(place + 1 - first, f"{EDGES[name][place]:g}") for place in range(first, last)]
    every = -(-len(edges) // MOST_TICKS) or 1
    return Chart(
        name=name,
        title=TITLES[name],
        bars=bars,
        ticks=edges[(len(edges) - 1) % every // 2 :: every],
        top=max(max(bar.share, bar.previous or 0) for bar in bars),
        low=span(name, quantile(histogram, 0.05)),
        median=span(name, quantile(histogram, 0.5)),
        high=span(name, quantile(histogram, 0.95)),
    )


def _filled(*histograms: Sequence[int] | None) -> tuple[int, int]:
    places = [
        place for histogram in histograms if histogram for place, n in enumerate(histogram) if n
    ]
    return min(places, default=0), max(places, default=0)


def _shares(histogram: Sequence[int]) -> list[float]:
    total = sum(histogram) or 1
    return [count / total for count in histogram]


def span(name: str, place: int) -> str:
    """The values of a bin, for people."""
    edges = EDGES[name]
    if place == 0:
        return f"under {edges[0]:g}"
    if place == len(edges):
        return f"{edges[-1]:g} or more"
    return f"{edges[place - 1]:g} to {edges[place]:g}"


def quantile(histogram: Sequence[int], share: float) -> int:
    """The bin in which the photographs, in order of their values, reach a share of them all."""
    reached = 0
    for place, count in enumerate(histogram):
        reached += count
        if count and reached >= share * sum(histogram):
            return place
    return 0


@dataclasses.dataclass(frozen=True)
class Sparkline:
    """A label's distribution, small, over the bins of the chart of all labels.

    Attributes:
        path: What an SVG path draws, in a box as wide as there are bars and 10 high.
        width: Number of bars.
        median: Bin of the photograph in the middle.
    """

    path: str
    width: int
    median: str


def sparklines(distributions: Distributions, overall: Distributions) -> dict[str, Sparkline]:
    """A label's distributions by name."""
    drawn = {}
    for name in EDGES:
        first, last = _filled(overall.histograms[name])
        histogram = distributions.histograms[name]
        shares = _shares(histogram)[first : last + 1]
        top = max(shares) or 1
        steps = "".join(f"V{10 - 10 * share / top:.2g}h1" for share in shares)
        median = span(name, quantile(histogram, 0.5))
        drawn[name] = Sparkline(f"M0 10{steps}V10Z", len(shares), median)
    return drawn
