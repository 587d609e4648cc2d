"""Decision thresholds of a multi-label model, chosen by label on the valid split."""

import logging
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.train.data.batches import WorkerShard, evaluation_stream
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

BINS = 256
"""Bins of probability from 0 to 1, by which validation measures the F1 at the best thresholds."""
NEUTRAL = 0.5
"""Threshold of a label that no photograph of the valid split has."""

_log = logging.getLogger("darkroom.train")

Floats = npt.NDArray[np.float32]


def choose_thresholds(
    model: Any, source: TransformedExamples, graph: TransformGraph, batch_size: int
) -> tuple[float, ...]:
    """Chooses for each label the threshold with the highest F1 on the valid split.

    Args:
        model: keras.Model from the examples' pixels or embeddings to probabilities,
            float32 [N, K].
        source: Transformed examples.
        graph: The graph that gave them.
        batch_size: Photographs per batch.

    Returns:
        One threshold per label, exact in float32; an image has a label whose probability is at
        least its threshold.
    """
    labels, probabilities = valid_answers(model, source, graph, batch_size)
    columns = zip(labels.T, probabilities.T, strict=True)
    best = [best_threshold(has, column) for has, column in columns]
    _log.info(
        "thresholds of %.2f to %.2f, chosen on %s valid photographs: macro F1 %.3f",
        *(min(threshold for threshold, _ in best), max(threshold for threshold, _ in best)),
        *(f"{len(labels):,}", np.mean([score for _, score in best])),
    )
    unseen = [name for name, has in zip(graph.labels, labels.T, strict=True) if not has.any()]
    if unseen:
        _log.warning(
            "no valid photograph has the label %s: its threshold is %g, not chosen from data",
            *(", ".join(unseen), NEUTRAL),
        )
    return tuple(threshold for threshold, _ in best)


def valid_answers(
    model: Any, source: TransformedExamples, graph: TransformGraph, batch_size: int
) -> tuple[npt.NDArray[np.bool_], Floats]:
    """A network's answers to the valid split.

    Args:
        model: keras.Model from the examples' pixels or embeddings to probabilities,
            float32 [N, K].
        source: Transformed examples.
        graph: The graph that gave them.
        batch_size: Photographs per batch.

    Returns:
        Which labels the photographs have, bool [N, K], and the probabilities, float32 [N, K].
    """
    import tensorflow as tf

    answer = tf.function(lambda inputs: model(inputs, training=False))
    answered, known = [], []
    for inputs, labels, weights in evaluation_stream(
        source, graph, "valid", WorkerShard(batch_size)
    ):
        real = weights.numpy() > 0
        answered.append(answer(inputs).numpy()[real])
        known.append(labels.numpy()[real] > 0)
    return np.concatenate(known), np.concatenate(answered)


def best_threshold(has: npt.NDArray[np.bool_], probabilities: Floats) -> tuple[float, float]:
    """The threshold with the highest F1, halfway between two neighbouring probabilities.

    Of several equally good ones, the one nearest to 0.5.

    Args:
        has: Which photographs have the label, bool [N].
        probabilities: float32 [N].

    Returns:
        Threshold and F1; 0.5 and 0 where no photograph has the label.
    """
    if not has.any():
        return NEUTRAL, 0.0
    counts = counts_by_threshold(has, probabilities)
    scores = 2 * counts.hits / (counts.chosen + counts.positives)
    best = np.flatnonzero(scores == scores.max())
    place = best[np.abs(counts.thresholds[best] - NEUTRAL).argmin()]
    return float(counts.thresholds[place]), float(scores[place])


class Counts(NamedTuple):
    """What each threshold that makes a difference gives, the lowest first.

    Attributes:
        thresholds: Halfway between two neighbouring probabilities, float32 [T].
        chosen: Photographs at or over each, int64 [T].
        hits: Those of them with the label, float64 [T].
        positives: Photographs with the label.
    """

    thresholds: Floats
    chosen: npt.NDArray[np.int64]
    hits: npt.NDArray[np.float64]
    positives: int

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Share of the chosen that have the label, [T]."""
        return self.hits / self.chosen

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Share of those with the label that are chosen, [T]; 0 where none has it."""
        return self.hits / max(self.positives, 1)


def counts_by_threshold(has: npt.NDArray[np.bool_], probabilities: Floats) -> Counts:
    """Counts what each threshold gives.

    Args:
        has: Which photographs have the label, bool [N]; N is at least 1.
        probabilities: float32 [N].
    """
    values, places = np.unique(probabilities, return_inverse=True)
    # For each distinct probability: photographs at or over it, and those of them with the label.
    chosen = np.cumsum(np.bincount(places)[::-1])[::-1]
    hits = np.cumsum(np.bincount(places, weights=has)[::-1])[::-1]
    halfway = np.asarray(values / 2, np.float32)
    # The middle of two adjacent float32 numbers may round down to the lower one.
    below, above = values[:-1], np.nextafter(values[:-1], np.float32(1))
    halfway[1:] = np.maximum((values[1:] + below) / 2, above)
    return Counts(halfway, chosen, np.asarray(hits, np.float64), int(has.sum()))


def macro_f1(counts: npt.NDArray[np.float32]) -> float:
    """F1 at each label's best threshold, averaged over the labels that photographs have.

    Args:
        counts: Photographs by whether they have the label, by label and by bin of the label's
            probability, float32 [2, K, BINS].
    """
    # Those at or over the threshold at each bin's lower edge.
    without, having = np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]
    total = having[:, 0]
    present = total > 0
    scores = 2 * having / np.maximum(having + without + total[:, None], 1)
    return float(scores[present].max(axis=1).mean()) if present.any() else 0.0
