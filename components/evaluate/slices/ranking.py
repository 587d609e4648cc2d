"""Metrics of how well probabilities rank images: AUC and average precision."""

from typing import Any

import numpy as np


def one_versus_rest_auc(
    labels: np.ndarray[Any, Any], probabilities: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """The area under the ROC curve of each label against the rest.

    Args:
        labels: Label indices, int [N].
        probabilities: [N, K].

    Returns:
        float64 [K]; not-a-number where all images have the label, or none has.
    """
    areas = np.full(probabilities.shape[1], np.nan)
    for index in np.unique(labels):
        areas[index] = roc_auc(labels == index, probabilities[:, index])
    return areas


def roc_auc(positive: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """The area under the ROC curve.

    Args:
        positive: Which images have the label, bool [N].
        scores: [N].

    Returns:
        The area; not-a-number where all images have the label, or none has.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not (positives and negatives):
        return float("nan")
    ranks = _average_ranks(scores)[positive].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(positive: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """The mean precision over the images that have the label, as the score falls.

    Args:
        positive: Which images have the label, bool [N].
        scores: [N]; images of equal scores count together.

    Returns:
        The mean; not-a-number where no image has the label.
    """
    if not positive.any():
        return float("nan")
    _, places = np.unique(-scores, return_inverse=True)
    hits = np.bincount(places, weights=positive)
    precision = np.cumsum(hits) / np.cumsum(np.bincount(places))
    return float((precision * hits).sum() / hits.sum())


def _average_ranks(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Ranks from 1, where equal scores share the mean of theirs."""
    _, positions, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[positions]
