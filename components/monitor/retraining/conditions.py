"""The language of `monitor.retrain.when`.

    accuracy < 0.9 or embedding_drift for 3 windows or new_labels >= 500 or every 30 days
    accuracy of camera=left < 0.8 and new_labels >= 100

`and` binds before `or`. Every error is one line that names the wrong word and the nearest right
one.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping

from darkroom.metrics import known_metrics
from darkroom.metrics.metric import Metric, TfmaMetric
from darkroom.settings import nearest

FAMILIES: Mapping[str, str] = {
    "label": "label",
    "format": "file_format",
    "confidence": "confidence",
    "entropy": "entropy",
    "height": "height",
    "width": "width",
    "brightness": "brightness",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "accuracy": "accuracy",
    "embedding": "embedding",
}
"""What may drift, and what the names of its tests begin with."""
_DRIFT, _NEW_LABELS, _EVERY = "drift", "new_labels", "every"
_SECONDS = {"hours": 3600, "days": 86400, "weeks": 7 * 86400}
_WORD = re.compile(r'"[^"]*"|[<>]=?|[=,]|[^\s<>=,"]+|"')


@dataclasses.dataclass(frozen=True)
class Bound:
    """`accuracy of camera=left < 0.8`: a metric is worse than it may be.

    Attributes:
        metric: The metric's name.
        slice: Value by column, in the order of the columns; empty: all photographs.
        limit: What it may not be beyond.
    """

    metric: str
    slice: tuple[tuple[str, str], ...]
    limit: float


@dataclasses.dataclass(frozen=True)
class Drift:
    """`brightness_drift for 3 windows`: the last windows all have an alarm.

    Attributes:
        family: One of `FAMILIES`; empty: of any.
        windows: How many windows in a row.
    """

    family: str
    windows: int


@dataclasses.dataclass(frozen=True)
class NewLabels:
    """`new_labels >= 500`: so many photographs were labelled since the last retraining."""

    count: int


@dataclasses.dataclass(frozen=True)
class Every:
    """`every 30 days`: so long ago was the last retraining, or the first answer."""

    seconds: float
    words: str


Condition = Bound | Drift | NewLabels | Every
When = tuple[tuple[Condition, ...], ...]
"""Alternatives, each of conditions that must all hold."""


def parse_when(text: str) -> When:
    """Reads what `when` says.

    Raises:
        ValueError: One line that names the wrong word.

    >>> parse_when("accuracy < 0.9 or drift for 3 windows")
    ((Bound(metric='accuracy', slice=(), limit=0.9),), (Drift(family='', windows=3),))
    """
    words = _Words(text)
    found: list[list[Condition]] = [[]]
    while True:
        found[-1].append(_condition(words))
        if words.is_over:
            return tuple(map(tuple, found))
        if words.one_of(("or", "and")) == "or":
            found.append([])


def windowed_metrics() -> dict[str, Metric]:
    """The metrics that windows may have."""
    return {
        name: metric
        for name, metric in known_metrics().items()
        if metric.single_label is not None
        and not isinstance(metric.single_label, TfmaMetric)
        and not (metric.needs or metric.needs_positive)
    }


class _Words:
    """The words of a text, one after the other."""

    def __init__(self, text: str) -> None:
        self._text, self._words = text, _WORD.findall(text)

    @property
    def is_over(self) -> bool:
        return not self._words

    def take(self, expected: str) -> str:
        if not self._words:
            raise ValueError(f"it ends where {expected} is expected: '{self._text}'")
        word: str = self._words.pop(0)
        return word.strip('"')

    def follows(self, word: str) -> bool:
        """Takes a word if it comes next."""
        if self._words[:1] != [word]:
            return False
        self._words.pop(0)
        return True

    def one_of(self, words: Collection[str]) -> str:
        named = " or ".join(f"'{word}'" for word in words)
        if (word := self.take(named)) not in words:
            raise ValueError(f"'{word}' stands where {named} is expected")
        return word

    def number(self, least: float = 0) -> float:
        word = self.take("a number")
        try:
            value = float(word)
        except ValueError:
            raise ValueError(f"'{word}' stands where a number is expected") from None
        if not least <= value < 1e9:
            raise ValueError(f"{word} is no number of {least:g} and more")
        return value

    def whole(self) -> int:
        value = self.number(least=1)
        if not value.is_integer():
            raise ValueError(f"{value:g} is no whole number")
        return int(value)


def _condition(words: _Words) -> Condition:
    name = words.take("a condition")
    if name == _EVERY:
        count = words.whole()
        unit = words.take("days or hours")
        seconds = _SECONDS.get(unit) or _SECONDS.get(f"{unit}s")
        if seconds is None:
            raise ValueError(f"unknown unit '{unit}'{nearest(unit, _SECONDS)}")
        return Every(count * seconds, f"{count} {unit}")
    if name == _NEW_LABELS:
        words.one_of((">=",))
        return NewLabels(words.whole())
    family = name.removesuffix("_drift")
    if name == _DRIFT or (name != family and family in FAMILIES):
        words.one_of(("for",))
        count = words.whole()
        words.one_of(("windows", "window"))
        return Drift("" if name == _DRIFT else family, count)
    return _bound(name, words)


def _bound(name: str, words: _Words) -> Bound:
    metrics = windowed_metrics()
    if name not in metrics:
        drifts = [f"{family}_drift" for family in FAMILIES]
        valid = (*metrics, _DRIFT, *drifts, _NEW_LABELS, _EVERY)
        raise ValueError(f"unknown word '{name}'{nearest(name, valid)}")
    metric = metrics[name]
    of_slice = dict[str, str]()
    if words.follows("of"):
        if not metric.is_share:
            raise ValueError(f"{name} has no interval in slices; of slices take accuracy")
        while not of_slice or words.follows(","):
            column = words.take("a column")
            words.one_of(("=",))
            of_slice[column] = words.take("a value")
    sign = words.one_of(("<", ">"))
    better, worse = ("high", "<") if metric.direction == "higher" else ("low", ">")
    if sign != worse:
        raise ValueError(f"{name} is better the {better}er it is: expected '{name} {worse} ...'")
    limit = words.number(least=-1)
    if metric.range is not None and not metric.range[0] < limit < metric.range[1]:
        lowest, highest = metric.range
        raise ValueError(f"{limit:g} decides nothing: {name} is from {lowest:g} to {highest:g}")
    return Bound(name, tuple(sorted(of_slice.items())), limit)
