"""Metrics of decisions: accuracy, precision, recall and F1, and their averages."""

from collections.abc import Sequence

from components.evaluate.metrics.metric import (
    Metric,
    MultiLabelResults,
    PerLabel,
    SingleLabelResults,
)


def ratio(part: float, whole: float) -> float:
    """A share; 0 of nothing."""
    return float(part / whole) if whole else 0.0


def mean(values: Sequence[float]) -> float:
    """The mean of one value or more."""
    return sum(values) / len(values)


def present(per_label: PerLabel) -> PerLabel:
    """The labels with images."""
    return [row for row in per_label if row["count"]]


def _accuracy(results: SingleLabelResults) -> float:
    return ratio(results.confusion.trace(), results.confusion.sum())


def _subset_accuracy(results: MultiLabelResults) -> float:
    return float((results.has == results.says).all(axis=1).mean())


def _macro(name: str, title: str, meaning: str) -> Metric:
    def average(results: SingleLabelResults | MultiLabelResults) -> float:
        return mean([row[name] for row in present(results.per_label)])

    return Metric(f"macro_{name}", title, meaning, single_label=average, multi_label=average)


def _micro_precision(results: MultiLabelResults) -> float:
    return ratio((results.has & results.says).sum(), results.says.sum())


def _micro_recall(results: MultiLabelResults) -> float:
    return ratio((results.has & results.says).sum(), results.has.sum())


def _micro_f1(results: MultiLabelResults) -> float:
    hits = (results.has & results.says).sum()
    return ratio(2 * hits, results.says.sum() + results.has.sum())


def _lowest_f1(results: MultiLabelResults) -> float:
    return float(min(row["f1"] for row in present(results.per_label)))


METRICS = (
    Metric(
        "accuracy",
        "Accuracy",
        "Share of images whose most probable label is theirs; where images have several, of those "
        "with exactly their labels over the thresholds (subset accuracy).",
        single_label=_accuracy,
        multi_label=_subset_accuracy,
    ),
    _macro("f1", "Macro F1", "F1 by label, averaged over the labels with images."),
    Metric(
        "micro_f1",
        "Micro F1",
        "F1 over all labels of all images together.",
        multi_label=_micro_f1,
    ),
    Metric(
        "lowest_f1",
        "Lowest F1",
        "F1 of the label, of those with images, that is worst.",
        multi_label=_lowest_f1,
    ),
    _macro(
        "precision", "Macro precision", "Precision by label, averaged over the labels with images."
    ),
    _macro("recall", "Macro recall", "Recall by label, averaged over the labels with images."),
    Metric(
        "micro_precision",
        "Micro precision",
        "Share of the labels given to images that are theirs.",
        multi_label=_micro_precision,
    ),
    Metric(
        "micro_recall",
        "Micro recall",
        "Share of the labels of all images that are given to them.",
        multi_label=_micro_recall,
    ),
)
