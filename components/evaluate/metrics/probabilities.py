"""Metrics of probabilities: how they rank images, how sure they are, and whether rightly so."""

import math

from components.evaluate.metrics.decisions import mean, present
from components.evaluate.metrics.metric import (
    Metric,
    MultiLabelResults,
    SingleLabelResults,
    TfmaMetric,
)

TOP_K = 3
"""The top-k accuracy is measured where there are more labels than this."""
SMALLEST = 1e-7
"""Probabilities nearer to 0 or 1 count as this near in the log loss, as in Keras."""
_TOP_K_ACCURACY = f"top_{TOP_K}_accuracy"


def calibration_error(results: SingleLabelResults | MultiLabelResults) -> float:
    """The expected calibration error (Naeini et al., 2015).

    Returns:
        The mean distance of probability and accuracy over the bins, weighted by their images.
    """
    bins = results.reliability
    total = sum(images for images, _, _ in bins)
    return sum(abs(right - probability) for _, probability, right in bins) / total


def _average_precision(results: MultiLabelResults) -> float:
    if not results.finite:
        return math.nan
    return mean([row["average_precision"] for row in present(results.per_label)])


def _auc(results: SingleLabelResults | MultiLabelResults) -> float | None:
    """The mean over the labels that have one; none where no label has."""
    areas = [row["auc"] for row in present(results.per_label) if row["auc"] is not None]
    if not areas:
        return None
    return mean(areas) if results.finite else math.nan


def _multi_label_log_loss(results: MultiLabelResults) -> float:
    import numpy as np

    probabilities = results.probabilities
    right = np.where(results.has, probabilities, 1 - probabilities.astype(np.float64))
    return float(-np.log(np.clip(right, SMALLEST, 1 - SMALLEST)).mean())


METRICS = (
    Metric(
        "average_precision",
        "Average precision",
        "Precision averaged over a label's images as its probability falls, at no threshold; "
        "averaged over the labels with images.",
        multi_label=_average_precision,
    ),
    Metric(
        "auc",
        "AUC",
        "Area under the ROC curve, one label against the rest, averaged over the labels with "
        "images; a slice with one single label has none.",
        single_label=_auc,
        multi_label=_auc,
    ),
    Metric(
        _TOP_K_ACCURACY,
        f"Top-{TOP_K} accuracy",
        f"Share of images whose label is among the {TOP_K} most probable; where there are more "
        f"than {TOP_K} labels.",
        single_label=lambda results: results.values[_TOP_K_ACCURACY],
        tfma=TfmaMetric("SparseTopKCategoricalAccuracy", options={"k": TOP_K}),
        more_labels_than=TOP_K,
    ),
    Metric(
        "log_loss",
        "Log loss",
        "Mean cross entropy in nats; where images have several labels, over images and labels.",
        direction="lower",
        single_label=lambda results: results.values["log_loss"],
        multi_label=_multi_label_log_loss,
        tfma=TfmaMetric("SparseCategoricalCrossentropy"),
    ),
    Metric(
        "calibration_error",
        "Calibration error",
        "Mean distance of the top probability from the accuracy at that probability, in ten "
        "equal bins; where images have several labels, of each label's probability.",
        direction="lower",
        single_label=calibration_error,
        multi_label=calibration_error,
    ),
)
