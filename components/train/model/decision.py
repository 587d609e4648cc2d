"""The threshold of a model of two labels: from which probability on it gives the positive one."""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.model.thresholds import (
    NEUTRAL,
    Counts,
    counts_by_threshold,
    valid_answers,
)
from components.train.settings import DecisionSettings, check_positive_label
from darkroom.artifacts.model import Decision
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import SettingsError

_log = logging.getLogger("darkroom.train")


def check_decision(settings: DecisionSettings | None, graph: TransformGraph) -> None:
    """Checks that there are two labels, one of which is the positive one.

    Raises:
        SettingsError: There are not.
    """
    if settings is None:
        return
    if graph.multi_label:
        raise SettingsError(
            "setting 'train.decision' is for photographs of one of two labels; of several labels "
            "each gets its own threshold"
        )
    check_positive_label(settings, graph.labels)


def choose_decision(
    model: Any,
    source: TransformedExamples,
    graph: TransformGraph,
    batch_size: int,
    settings: DecisionSettings,
) -> Decision:
    """Chooses the threshold on the valid split.

    Args:
        model: keras.Model from the examples' pixels or embeddings to probabilities,
            float32 [N, 2].
        source: Transformed examples.
        graph: The graph that gave them.
        batch_size: Photographs per batch.
        settings: What the threshold is to reach.
    """
    labels, probabilities = valid_answers(model, source, graph, batch_size)
    positive = graph.labels.index(settings.positive_label)
    has = labels[:, positive]
    if has.all() or not has.any():
        _log.warning(
            "%s valid photograph has the label '%s': its threshold is %g, not chosen from data",
            *("every" if has.any() else "no", settings.positive_label, NEUTRAL),
        )
        return Decision(settings.positive_label, NEUTRAL)
    counts = counts_by_threshold(has, probabilities[:, positive])
    place = best_place(counts, settings)
    threshold = float(counts.thresholds[place])
    precision, recall = counts.precision[place], counts.recall[place]
    _log.info(
        "'%s' from a probability of %.3f on: precision %.3f and recall %.3f on %s valid "
        "photographs, %d of which have the label",
        *(settings.positive_label, threshold, precision, recall, f"{len(has):,}", counts.positives),
    )
    if settings.precision is not None and not precision >= settings.precision:
        _log.warning(
            "no threshold reaches a precision of %g on the valid split: this is the nearest",
            settings.precision,
        )
    return Decision(settings.positive_label, threshold)


def best_place(counts: Counts, settings: DecisionSettings) -> int:
    """Which threshold does best what is wanted.

    Args:
        counts: What each threshold gives.
        settings: A recall or a precision to reach, or what mistakes cost.
    """
    if settings.recall is not None:
        # The highest that finds enough: precision by itself goes up and down with the threshold.
        enough = counts.recall >= settings.recall
        return _best(counts.precision, counts.recall, enough, instead=counts.recall)
    if settings.precision is not None:
        enough = counts.precision >= settings.precision
        return _best(counts.recall, counts.precision, enough, instead=counts.precision)
    missed = (counts.positives - counts.hits) * (settings.missed or 1)
    cost = missed + (counts.chosen - counts.hits) * (settings.false_alarm or 1)
    # Of equally cheap ones the middle, which is the least at the mercy of the next photograph.
    cheapest = np.flatnonzero(cost == cost.min())
    return int(cheapest[len(cheapest) // 2])


def _best(
    wanted: npt.NDArray[Any],
    second: npt.NDArray[Any],
    allowed: npt.NDArray[np.bool_],
    instead: npt.NDArray[Any],
) -> int:
    """Where `wanted`, and of equals `second`, is highest of what is allowed; else `instead`."""
    if not allowed.any():
        return int(np.argmax(instead))
    return int(np.lexsort((second, np.where(allowed, wanted, -1.0)))[-1])
