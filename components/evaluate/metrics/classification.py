"""The metrics of classifiers, in the order in which the report shows them."""

import math
from collections.abc import Callable
from typing import Any

from components.evaluate.metrics.metric import (
    TOP_K,
    Metric,
    MultiLabelSlice,
    SingleLabelSlice,
    mean,
    ratio,
)

_SMALLEST = 1e-7
"""In the log loss, probabilities are kept this far from 0 and 1, as in Keras."""
_SHARE = (0.0, 1.0)


def _macro_average(name: str) -> Callable[[Any], float]:
    """The mean of a column of `per_label`, over the labels with images."""
    return lambda of_slice: mean([row[name] for row in of_slice.present])


def _mean_auc(of_slice: SingleLabelSlice | MultiLabelSlice) -> float | None:
    areas = [row["auc"] for row in of_slice.present if row["auc"] is not None]
    if not areas:
        return None
    return mean(areas) if of_slice.finite else math.nan


def _mean_average_precision(of_slice: MultiLabelSlice) -> float:
    # Beside probabilities that are not numbers the rows hold None.
    if not of_slice.finite:
        return math.nan
    return mean([row["average_precision"] for row in of_slice.present])


def _counts(of_slice: MultiLabelSlice) -> tuple[Any, Any, Any]:
    """How many labels are given rightly, are given, and are there."""
    actual, predicted = of_slice.actual, of_slice.predicted
    return (actual & predicted).sum(), predicted.sum(), actual.sum()


def _micro_f1(of_slice: MultiLabelSlice) -> float:
    hits, predicted, actual = _counts(of_slice)
    return ratio(2 * hits, predicted + actual)


def _micro_precision(of_slice: MultiLabelSlice) -> float:
    hits, predicted, _ = _counts(of_slice)
    return ratio(hits, predicted)


def _micro_recall(of_slice: MultiLabelSlice) -> float:
    hits, _, actual = _counts(of_slice)
    return ratio(hits, actual)


def _log_loss(of_slice: MultiLabelSlice) -> float:
    import numpy as np

    probabilities = of_slice.probabilities.astype(np.float64)
    right = np.where(of_slice.actual, probabilities, 1 - probabilities)
    return float(-np.log(np.clip(right, _SMALLEST, 1 - _SMALLEST)).mean())


def _calibration_error(of_slice: SingleLabelSlice | MultiLabelSlice) -> float:
    """The mean distance of probability and accuracy, weighted by the number of answers."""
    total = sum(answers for answers, _, _ in of_slice.reliability)
    return sum(abs(right - probability) for _, probability, right in of_slice.reliability) / total


def _lowest(name: str, title: str) -> Metric:
    """The metric of the worst label, by a column of `per_label`."""

    def lowest(of_slice: SingleLabelSlice | MultiLabelSlice) -> float:
        return float(min(row[name] for row in of_slice.present))

    return Metric(
        name=f"lowest_{name}",
        title=f"Lowest {title}",
        meaning=f"The lowest {title} of any label with images.",
        range=_SHARE,
        single_label=lowest,
        multi_label=lowest,
    )


def _lowest_auc(of_slice: SingleLabelSlice | MultiLabelSlice) -> float | None:
    areas = [row["auc"] for row in of_slice.present if row["auc"] is not None]
    if not areas:
        return None
    return min(areas) if of_slice.finite else math.nan


ACCURACY = Metric(
    name="accuracy",
    title="Accuracy",
    meaning="Share of images whose most probable label is right; for images of several labels, of "
    "those whose labels over the thresholds are exactly the right ones (subset accuracy).",
    range=_SHARE,
    single_label=lambda of_slice: ratio(of_slice.confusion.trace(), of_slice.confusion.sum()),
    multi_label=lambda of_slice: float((of_slice.actual == of_slice.predicted).all(axis=1).mean()),
)
MACRO_F1 = Metric(
    name="macro_f1",
    title="Macro F1",
    meaning="F1 by label, averaged over the labels with images.",
    range=_SHARE,
    single_label=_macro_average("f1"),
    multi_label=_macro_average("f1"),
)
MICRO_F1 = Metric(
    name="micro_f1",
    title="Micro F1",
    meaning="F1 over all labels of all images together.",
    range=_SHARE,
    multi_label=_micro_f1,
)
LOWEST_F1 = _lowest("f1", "F1")
LOWEST_PRECISION = _lowest("precision", "precision")
LOWEST_RECALL = _lowest("recall", "recall")
LOWEST_AUC = Metric(
    name="lowest_auc",
    title="Lowest AUC",
    meaning="The lowest area under the ROC curve of any label with images; a slice with one single "
    "label has none.",
    range=_SHARE,
    single_label=_lowest_auc,
    multi_label=_lowest_auc,
)
MACRO_PRECISION = Metric(
    name="macro_precision",
    title="Macro precision",
    meaning="Precision by label, averaged over the labels with images.",
    range=_SHARE,
    single_label=_macro_average("precision"),
    multi_label=_macro_average("precision"),
)
MACRO_RECALL = Metric(
    name="macro_recall",
    title="Macro recall",
    meaning="Recall by label, averaged over the labels with images.",
    range=_SHARE,
    single_label=_macro_average("recall"),
    multi_label=_macro_average("recall"),
)
MICRO_PRECISION = Metric(
    name="micro_precision",
    title="Micro precision",
    meaning="Share of the predicted labels of all images that are right.",
    range=_SHARE,
    multi_label=_micro_precision,
)
MICRO_RECALL = Metric(
    name="micro_recall",
    title="Micro recall",
    meaning="Share of the labels of all images that are predicted.",
    range=_SHARE,
    multi_label=_micro_recall,
)
AVERAGE_PRECISION = Metric(
    name="average_precision",
    title="Average precision",
    meaning="Area under the precision-recall curve of each label, at no threshold; averaged over "
    "the labels with images.",
    range=_SHARE,
    multi_label=_mean_average_precision,
)
AUC = Metric(
    name="auc",
    title="AUC",
    meaning="Area under the ROC curve, one label against the rest, averaged over the labels with "
    "images; a slice with one single label has none.",
    range=_SHARE,
    single_label=_mean_auc,
    multi_label=_mean_auc,
)
TOP_K_ACCURACY = Metric(
    name=f"top_{TOP_K}_accuracy",
    title=f"Top-{TOP_K} accuracy",
    meaning=f"Share of images whose label is among the {TOP_K} most probable (of equally "
    f"probable ones, those that come first); where there are more than {TOP_K} labels.",
    range=_SHARE,
    single_label=lambda of_slice: of_slice.top_k_accuracy,
    fewest_labels=TOP_K + 1,
)
LOG_LOSS = Metric(
    name="log_loss",
    title="Log loss",
    meaning="Mean cross entropy in nats; for images of several labels, over images and labels.",
    direction="lower",
    range=(0.0, math.inf),
    single_label=lambda of_slice: of_slice.log_loss,
    multi_label=_log_loss,
)
CALIBRATION_ERROR = Metric(
    name="calibration_error",
    title="Calibration error",
    meaning="Mean distance of the top probability from the accuracy at that probability, in ten "
    "equal bins; for images of several labels, of each label's probability.",
    direction="lower",
    range=_SHARE,
    single_label=_calibration_error,
    multi_label=_calibration_error,
)
