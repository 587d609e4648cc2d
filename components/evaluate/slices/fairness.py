"""Whether groups of photographs are treated alike: gaps between them, and the four-fifths rule."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.evaluate.sections import FAIRNESS, Fairness
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.slicing import feature_slices
from darkroom.answers.answers import Answers, MultiLabelAnswers, SingleLabelAnswers

if TYPE_CHECKING:
    import pyarrow as pa

_OF_LOWER = "selection_ratio"
"""The one measure that is a ratio: higher is better."""


@dataclasses.dataclass(frozen=True)
class Gap:
    """How differently groups are treated.

    Attributes:
        column: The column whose values are the groups.
        label: The label that is given or not; of several, the one with the worst value.
        measure: Its name in `evaluate.fairness.bounds`.
        value: The gap, or the ratio; None where fewer than two groups have such a number.
        groups: What each group has, by its name: the rate and its number of images.
        bound: The bound; None if there is none.
    """

    column: str
    label: str
    measure: str
    value: float | None
    groups: Mapping[str, tuple[float, int]]
    bound: float | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None where nothing is bound, or nothing decides it."""
        if self.bound is None or self.value is None:
            return None
        return self.value >= self.bound if self.measure == _OF_LOWER else self.value <= self.bound

    @property
    def reason(self) -> str:
        """Why it fails, in one line."""
        side = "below" if self.measure == _OF_LOWER else "above"
        lowest = min(self.groups.items(), key=lambda item: item[1][0])
        highest = max(self.groups.items(), key=lambda item: item[1][0])
        between = " and ".join(
            f"{rate:.3f} for {name} ({count:,} images)" for name, (rate, count) in (lowest, highest)
        )
        return (
            f"{self.measure} by {self.column} is {self.value:.3g}, {side} {self.bound:g}, "
            f"for the label {self.label}: {between}"
        )


def find_gaps(predictions: "pa.Table", answers: Answers, settings: EvaluateSettings) -> list[Gap]:
    """Measures how differently groups are treated, label by label; the worst label counts.

    The measures are fairlearn's (Bird et al., Fairlearn: A toolkit for assessing and improving
    fairness in AI, 2020): differences between groups in true and false positive rates, precision
    and selection rate, equalized odds (Hardt et al., NeurIPS 2016), and the ratio of selection
    rates, which the four-fifths rule wants to be 0.8 or more.

    Args:
        predictions: As `read_predictions` gives them.
        answers: The model's answers to them.
        settings: The evaluate step's settings.
    """
    fairness = settings.fairness
    gaps = []
    for column in fairness.columns:
        groups = {
            str(value): places
            for value, places in feature_slices(predictions, column, settings.buckets.get(column))
            if len(places) >= fairness.smallest_group
        }
        by_label = [
            _of_label(column, label, groups, answers, fairness)
            for label in _labels(answers, fairness)
        ]
        gaps += [_worst([row[measure] for row in by_label]) for measure in FAIRNESS]
    return gaps


def undecided(gap: Gap) -> str:
    """Why nothing decides a bound, in one line; "" if something does."""
    if gap.bound is None or gap.value is not None:
        return ""
    return (
        f"nothing decides {gap.measure} by {gap.column}: fewer than two groups are large enough "
        "and have such a number (to bless all the same: evaluate.if_undecided: pass)"
    )


def _labels(answers: Answers, fairness: Fairness) -> Sequence[int]:
    if fairness.label is not None:
        return [answers.labels.index(fairness.label)]
    return [int(label) for label in np.flatnonzero(answers.present)]


def _of_label(
    column: str, label: int, groups: Mapping[str, Any], answers: Answers, fairness: Fairness
) -> dict[str, Gap]:
    """Every measure of one label against the rest."""
    from fairlearn import metrics as fairlearn

    names = answers.labels
    if len(groups) < 2:
        nothing: dict[str, tuple[float, int]] = {}
        return {
            measure: Gap(column, names[label], measure, None, nothing, fairness.bounds.get(measure))
            for measure in FAIRNESS
        }
    places = np.concatenate(list(groups.values()))
    members = np.repeat(list(groups), [len(group) for group in groups.values()])
    actual, given = answers.has(label)[places], _given(answers, label)[places]
    frame = fairlearn.MetricFrame(
        metrics={
            "recall_gap": _undefined_without(fairlearn.true_positive_rate, positives=True),
            "false_positive_gap": _undefined_without(
                fairlearn.false_positive_rate, positives=False
            ),
            "precision_gap": _precision,
            "selection_gap": fairlearn.selection_rate,
        },
        y_true=actual,
        y_pred=given,
        sensitive_features=members,
    )
    sizes = {name: len(group) for name, group in groups.items()}
    return {
        gap.measure: gap for gap in _gaps(column, names[label], frame.by_group, sizes, fairness)
    }


def _gaps(
    column: str, label: str, by_group: Any, sizes: Mapping[str, int], fairness: Fairness
) -> Iterator[Gap]:
    rates = {
        measure: {
            name: (float(rate), sizes[name]) for name, rate in by_group[measure].dropna().items()
        }
        for measure in by_group
    }
    values = {measure: _range(of_groups) for measure, of_groups in rates.items()}
    odds = [values[name] for name in ("recall_gap", "false_positive_gap")]
    known = [value for value in odds if value is not None]
    values["equalized_odds_gap"] = max(known) if known else None
    wider = max(("recall_gap", "false_positive_gap"), key=lambda name: values[name] or 0.0)
    rates["equalized_odds_gap"] = rates[wider]
    selected = [rate for rate, _ in rates["selection_gap"].values()]
    values[_OF_LOWER] = min(selected) / max(selected) if max(selected) else None
    rates[_OF_LOWER] = rates["selection_gap"]
    for measure in FAIRNESS:
        bound = fairness.bounds.get(measure)
        yield Gap(column, label, measure, values[measure], rates[measure], bound)


def _range(of_groups: Mapping[str, tuple[float, int]]) -> float | None:
    rates = [rate for rate, _ in of_groups.values()]
    return max(rates) - min(rates) if len(rates) > 1 else None


def _worst(gaps: Sequence[Gap]) -> Gap:
    known = [gap for gap in gaps if gap.value is not None]
    if not known:
        return gaps[0]
    worst = min if known[0].measure == _OF_LOWER else max
    return worst(known, key=lambda gap: gap.value or 0.0)


def _given(answers: Answers, label: int) -> Any:
    """Which images are given the label, bool [N]."""
    if isinstance(answers, MultiLabelAnswers):
        return answers.predicted[:, label]
    assert isinstance(answers, SingleLabelAnswers)
    return answers.predicted == label


def _undefined_without(rate: Any, positives: bool) -> Any:
    """A rate that a group without such images does not have: fairlearn says 0."""

    def of_group(y_true: Any, y_pred: Any) -> float:
        there = np.asarray(y_true) == positives
        return float(rate(y_true, y_pred, pos_label=True)) if there.any() else float("nan")

    return of_group


def _precision(y_true: Any, y_pred: Any) -> float:
    given = np.asarray(y_pred, bool)
    return float(np.asarray(y_true)[given].mean()) if given.any() else float("nan")
