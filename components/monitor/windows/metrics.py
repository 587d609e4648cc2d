"""Evaluate's own metrics of a window's labelled photographs, of all and of every slice."""

import dataclasses
import math
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from components.monitor.reading.answer import MEASURES
from components.monitor.windows.looked import column_sql
from components.monitor.windows.reference import Reference, slice_name
from darkroom.answers.answers import SingleLabelAnswers
from darkroom.intervals import bootstrap, wilson
from darkroom.metrics import known_metrics
from darkroom.metrics.metric import Metric, TfmaMetric

MOST = 100_000
"""Labelled photographs of a window that metrics are computed of: of more, those that come first in
the order of their digests, which is a random one. Memory has an end then."""
MOST_SLICES = 100
"""Slices of a slicing: those with the most photographs."""
DRAWS = 200
_MOST_DRAWN = 10_000_000
"""Probabilities that the bootstrap of a window draws at most; of more photographs than that allows,
metrics hardly move."""
_FEWEST_DRAWS = 100

Places = npt.NDArray[np.int64]


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


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class GivenAnswers(SingleLabelAnswers):
    """Answers whose label is the one that was given, by whatever rule the model has.

    Attributes:
        given: Its place among the labels, int64 [N].
    """

    given: Places

    @property
    def predicted(self) -> Places:
        """The label that each image was given, int64 [N]."""
        return self.given

    def take(self, places: Any) -> Self:
        """The answers to the images at these places."""
        return dataclasses.replace(super().take(places), given=self.given[places])


def window_metrics(
    connection: sqlite3.Connection,
    labels: Sequence[str],
    slicings: Sequence[tuple[str, ...]],
    reference: Reference | None,
) -> Iterator[Measured]:
    """The metrics of the photographs of `looked` that have a label.

    A label that the model does not know is one more label, of probability 0: such a photograph is
    answered wrongly. Of all photographs metrics have intervals as evaluate's have (shares in closed
    form, others by the bootstrap, of fewer draws); of slices shares alone.

    Args:
        connection: The database.
        labels: The model's labels, in the order of the probabilities.
        slicings: The columns to slice by at once.
        reference: Says where measures are cut.
    """
    names, answers = _answers(connection, labels)
    if not answers.count:
        return
    metrics = [
        metric
        for metric in known_metrics().values()
        if metric.applies(False, len(names))
        and not (metric.needs or metric.needs_positive)
        and not isinstance(metric.single_label, TfmaMetric)
    ]
    draws = min(DRAWS, _MOST_DRAWN // answers.probabilities.size)
    yield from _measured("{}", answers, metrics, draws if draws >= _FEWEST_DRAWS else 0)
    columns = {
        column: _column(connection, column, reference, len(labels))
        for slicing in slicings
        for column in slicing
    }
    for slicing in slicings:
        for name, places in _slices({column: columns[column] for column in slicing}):
            yield from _measured(name, answers.take(places), metrics, 0)


def _answers(
    connection: sqlite3.Connection, labels: Sequence[str]
) -> tuple[tuple[str, ...], GivenAnswers]:
    rows = connection.execute(
        "SELECT looked.label, label_index, probabilities FROM looked JOIN answers USING (id) "
        "WHERE looked.label IS NOT NULL AND length(probabilities) = ? "
        "ORDER BY looked.rowid LIMIT ?",
        (4 * len(labels), MOST),
    ).fetchall()
    known = dict.fromkeys(labels)
    names = (*known, *sorted({label for label, _, _ in rows} - known.keys()))
    places = {name: place for place, name in enumerate(names)}
    probabilities = np.zeros((len(rows), len(names)), np.float32)
    joined = np.frombuffer(b"".join(row[2] for row in rows), np.float32)
    probabilities[:, : len(labels)] = joined.reshape(-1, len(labels))
    return names, GivenAnswers(
        names,
        probabilities,
        np.fromiter((places[label] for label, _, _ in rows), np.int64, len(rows)),
        given=np.fromiter((index for _, index, _ in rows), np.int64, len(rows)),
    )


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


def _column(
    connection: sqlite3.Connection, name: str, reference: Reference | None, width: int
) -> npt.NDArray[Any]:
    """A column to slice by, of the photographs of `_answers`; None where it has no value."""
    parameters: list[str] = []
    if name in MEASURES:
        found = f"answers.{name}"
    else:
        found, parameters = column_sql(name)
    rows = connection.execute(
        f"SELECT {found} FROM looked JOIN answers USING (id) "
        "WHERE looked.label IS NOT NULL AND length(probabilities) = ? "
        "ORDER BY looked.rowid LIMIT ?",
        (*parameters, 4 * width, MOST),
    ).fetchall()
    if name not in MEASURES:
        return np.array([None if value is None else str(value) for (value,) in rows], object)
    cuts = [] if reference is None else reference.cuts(name)
    return np.array([_bucket(value, cuts) for (value,) in rows], object)


def _bucket(value: float | None, cuts: Sequence[float]) -> str | None:
    """The name of the bucket that a value falls in.

    >>> _bucket(100.0, [96, 144]), _bucket(10, [96, 144]), _bucket(144, [96, 144])
    ('96 to 144', 'below 96', '144 and more')
    """
    if value is None or not cuts:
        return None
    place = int(np.searchsorted(cuts, value, "right"))
    if place == 0:
        return f"below {cuts[0]:g}"
    if place == len(cuts):
        return f"{cuts[-1]:g} and more"
    return f"{cuts[place - 1]:g} to {cuts[place]:g}"


def _slices(columns: dict[str, npt.NDArray[Any]]) -> Iterator[tuple[str, Places]]:
    """The slices of a slicing, those with the most photographs first."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, values in enumerate(zip(*columns.values(), strict=True)):
        if None not in values:
            groups.setdefault(values, []).append(place)
    largest = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    for values, places in largest[:MOST_SLICES]:
        yield slice_name(dict(zip(columns, values, strict=True))), np.array(places, np.int64)
