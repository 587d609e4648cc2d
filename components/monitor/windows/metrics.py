"""Evaluate's own metrics of a window's labelled photographs, of all and of every slice."""

import math
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from components.monitor.windows.labelled import GivenAnswers, Places, read_labelled
from components.monitor.windows.reference import Reference, slice_name
from darkroom.intervals import bootstrap, wilson
from darkroom.metrics import known_metrics
from darkroom.metrics.metric import Metric, TfmaMetric

MOST_SLICES = 100
"""Slices of a slicing: those with the most photographs."""
DRAWS = 200
_MOST_DRAWN = 10_000_000
"""Probabilities that the bootstrap of a window draws at most; of more photographs than that allows,
metrics hardly move."""
_FEWEST_DRAWS = 100


class Measured(NamedTuple):
    """A metric of a slice.

    Attributes:
        slice: Its name, as `slice_name` gives it; `{}` is all photographs.
        metric: The metric's name.
        value: Its value; None is not a number.
        low: The lower end of its interval of 95 %; None where it has none.
        high: The upper end.
        photographs: Those of the slice that have labels.
    """

    slice: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    photographs: int


def window_metrics(
    connection: sqlite3.Connection,
    labels: Sequence[str],
    slicings: Sequence[tuple[str, ...]],
    reference: Reference | None,
) -> Iterator[Measured]:
    """The metrics of the photographs of `looked` that have a label.

    Of all photographs metrics have intervals as evaluate's have (shares in closed form, others by
    the bootstrap, of fewer draws); of slices shares alone.

    Args:
        connection: The database.
        labels: The model's labels, in the order of the probabilities.
        slicings: The columns to slice by at once.
        reference: Says where measures are cut.
    """
    asked = {column for slicing in slicings for column in slicing}
    answers, columns = read_labelled(connection, labels, asked, reference)
    if not answers.count:
        return
    metrics = [
        metric
        for metric in known_metrics().values()
        if metric.applies(False, len(answers.labels))
        and not (metric.needs or metric.needs_positive)
        and not isinstance(metric.single_label, TfmaMetric)
    ]
    draws = min(DRAWS, _MOST_DRAWN // answers.probabilities.size)
    yield from _measured("{}", answers, metrics, draws if draws >= _FEWEST_DRAWS else 0)
    for slicing in slicings:
        for name, places in _slices({column: columns[column] for column in slicing}):
            yield from _measured(name, answers.take(places), metrics, 0)


def _measured(
    name: str, answers: GivenAnswers, metrics: Sequence[Metric], draws: int
) -> Iterator[Measured]:
    drawn = [metric for metric in metrics if draws and not metric.is_share]
    intervals = bootstrap(
        lambda places: [_value(metric, answers.take(places)) for metric in drawn],
        answers.count,
        draws,
    )
    by_metric = dict(zip((metric.name for metric in drawn), intervals, strict=False))
    for metric in metrics:
        value = _value(metric, answers)
        if value is None:
            continue
        interval = by_metric.get(metric.name)
        if metric.is_share:
            interval = wilson(round(value * answers.count), answers.count)
        low, high = interval if interval is not None else (None, None)
        finite = value if math.isfinite(value) else None
        yield Measured(name, metric.name, finite, low, high, answers.count)


def _value(metric: Metric, answers: GivenAnswers) -> float | None:
    assert metric.single_label is not None
    assert not isinstance(metric.single_label, TfmaMetric)
    return metric.single_label(answers)


def _slices(columns: dict[str, list[str | None]]) -> Iterator[tuple[str, Places]]:
    """The slices of a slicing, those with the most photographs first."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, values in enumerate(zip(*columns.values(), strict=True)):
        known = tuple(value for value in values if value is not None)
        if len(known) == len(values):
            groups.setdefault(known, []).append(place)
    largest = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    for values, places in largest[:MOST_SLICES]:
        yield slice_name(dict(zip(columns, values, strict=True))), np.array(places, np.int64)
