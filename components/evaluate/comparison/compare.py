"""Compares the predictions of two models, image by image."""

import collections
import dataclasses
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluate.intervals import bootstrap, difference_of_shares, mcnemar
from components.evaluate.metrics import known_metrics
from components.evaluate.metrics.metric import Metric, TfmaMetric

if TYPE_CHECKING:
    from components.evaluate.slices.slice_metrics import Answers, SliceMetrics

ACCURACY = "accuracy"


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric of both models on the same images.

    Attributes:
        metric: The metric's name.
        slice: Value by feature; empty for all images.
        count: Number of images.
        challenger: The new model's value.
        champion: The champion's value.
        gain: By how much the new model is better, whichever direction is better; None where a
            value is missing.
        low: The lower end of the gain's interval; None where there is none.
        high: The upper end.
        newly_right: Of accuracy, images that the new model alone has right.
        newly_wrong: Images that the champion alone has right.
        p_value: Of accuracy, of models that are equally good.
    """

    metric: str
    slice: Mapping[str, Any]
    count: int
    challenger: float | None
    champion: float | None
    gain: float | None
    low: float | None
    high: float | None
    newly_right: int | None = None
    newly_wrong: int | None = None
    p_value: float | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A new model beside the champion.

    Attributes:
        champion: What people call the champion.
        problem: Why it could not be scored; "" if it could.
        overall: The compared metrics over all images, accuracy first.
        slices: The accuracy of every slice.
        outcomes: Images that both models have right, the new one alone, the champion alone, and
            neither.
        suspects: The same of the images whose labels are likely wrong.
    """

    champion: str
    problem: str = ""
    overall: tuple[Difference, ...] = ()
    slices: tuple[Difference, ...] = ()
    outcomes: tuple[int, int, int, int] = (0, 0, 0, 0)
    suspects: tuple[int, int, int, int] = (0, 0, 0, 0)

    def of(self, metric: str) -> Difference | None:
        """A metric's difference over all images."""
        return next((found for found in self.overall if found.metric == metric), None)


def compare(
    rows: Iterable[Mapping[str, Any]],
    champion: str,
    metrics: Iterable[str],
    challengers: "SliceMetrics",
    champions: "SliceMetrics",
    suspects: Container[str] = (),
) -> Comparison:
    """Compares two models.

    Args:
        rows: The predictions, as `read_predictions` gives them, with those of the champion.
        champion: What people call the champion.
        metrics: The names of metrics to compare, beside the accuracy.
        challengers: What computes the new model's metrics.
        champions: What computes the champion's metrics.
        suspects: Identities of the images whose labels are likely wrong.
    """
    known = known_metrics()
    others = [known[name] for name in dict.fromkeys(metrics) if name != ACCURACY]
    counts: dict[tuple[str, Any], collections.Counter[tuple[bool, bool]]]
    counts = collections.defaultdict(collections.Counter)
    of_suspects: collections.Counter[tuple[bool, bool]] = collections.Counter()
    answers: list[tuple[Any, Any, Any]] = []
    for row in rows:
        if "problem" in row["champion"]:
            return Comparison(champion, row["champion"]["problem"])
        outcome = _is_right(row, row), _is_right(row, row["champion"])
        for key in _slices(row):
            counts[key][outcome] += 1
        of_suspects[outcome] += row.get("image_id") in suspects
        if others:
            has = challengers.has_labels(row)
            given = (row["probabilities"], row["champion"]["probabilities"])
            answers.append((has, *(np.array(each, np.float32) for each in given)))
    outcomes = _outcomes(counts.pop(("", None)))
    overall = [accuracy_difference({}, outcomes)]
    overall += _bootstrapped(others, answers, challengers, champions)
    keys = sorted(counts, key=lambda key: (key[0], str(key[1])))
    slices = [accuracy_difference({key[0]: key[1]}, _outcomes(counts[key])) for key in keys]
    return Comparison(champion, "", tuple(overall), tuple(slices), outcomes, _outcomes(of_suspects))


def _is_right(row: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    if "predicted_labels" in row:
        return set(answer["predicted_labels"]) == set(row["labels"])
    return bool(answer["predicted_label"] == row["label"])


def _slices(row: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    yield "", None
    for name, value in row["slices"].items():
        values = value if isinstance(value, list) else [] if value is None else [value]
        for each in values:
            yield name, each


def _outcomes(counts: Mapping[tuple[bool, bool], int]) -> tuple[int, int, int, int]:
    return counts[True, True], counts[True, False], counts[False, True], counts[False, False]


def accuracy_difference(
    of_slice: Mapping[str, Any], outcomes: tuple[int, int, int, int]
) -> Difference:
    """The difference in accuracy.

    Args:
        of_slice: Value by feature; empty for all images.
        outcomes: Images that both models have right, the new one alone, the champion alone, and
            neither.
    """
    both, newly_right, newly_wrong, neither = outcomes
    count = both + newly_right + newly_wrong + neither
    interval = difference_of_shares(both, newly_right, newly_wrong, neither)
    return Difference(
        metric=ACCURACY,
        slice=of_slice,
        count=count,
        challenger=(both + newly_right) / count,
        champion=(both + newly_wrong) / count,
        gain=(newly_right - newly_wrong) / count,
        low=interval.low,
        high=interval.high,
        newly_right=newly_right,
        newly_wrong=newly_wrong,
        p_value=mcnemar(newly_right, newly_wrong),
    )


def _bootstrapped(
    metrics: Sequence[Metric],
    answers: Sequence[tuple[Any, Any, Any]],
    challengers: "SliceMetrics",
    champions: "SliceMetrics",
) -> list[Difference]:
    """Differences of metrics that have no interval in closed form."""
    if not metrics:
        return []
    from components.evaluate.slices.slice_metrics import Answers

    actual, new, old = (np.stack(column) for column in zip(*answers, strict=True))
    challenger, champion = Answers(actual, new), Answers(actual, old)
    return [_bootstrap(metric, challenger, champion, challengers, champions) for metric in metrics]


def _bootstrap(
    metric: Metric,
    challenger: "Answers",
    champion: "Answers",
    challengers: "SliceMetrics",
    champions: "SliceMetrics",
) -> Difference:
    sign = -1.0 if metric.direction == "lower" else 1.0

    def values(places: Any) -> tuple[float | None, float | None, float | None]:
        new = _value(metric, challengers, challenger, places)
        old = _value(metric, champions, champion, places)
        return new, old, None if new is None or old is None else sign * (new - old)

    count = len(challenger.actual)
    new, old, found = values(slice(None))
    interval = None if found is None else bootstrap(lambda places: values(places)[2], count)
    low, high = (None, None) if interval is None else interval
    return Difference(metric.name, {}, count, new, old, found, low, high)


def _value(
    metric: Metric, metrics: "SliceMetrics", answers: "Answers", places: Any
) -> float | None:
    way = metric.computation(metrics.multi_label)
    if way is None or isinstance(way, TfmaMetric):
        return None
    value = way(metrics.slice_of(type(answers)(*(column[places] for column in answers))))
    return value if value is not None and math.isfinite(value) else None
