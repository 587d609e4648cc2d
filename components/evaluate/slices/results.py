"""The metrics of all test photographs and of every slice, with their intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.slicing import Slice, find_slices
from darkroom.answers.answers import (
    Answers,
    MultiLabelAnswers,
    SingleLabelAnswers,
    label_rows,
)
from darkroom.answers.curves import curve
from darkroom.intervals import REPLICATES, bootstrap, wilson
from darkroom.metrics import known_metrics
from darkroom.metrics.metric import Metric, TfmaMetric

if TYPE_CHECKING:
    import pyarrow as pa

Result = dict[str, Any]
"""What `compute_results` gives for a slice."""

_MOST_DRAWN = 2e8
"""Probabilities that the bootstrap of all photographs' metrics draws at most, for all of them."""
_FEWEST_DRAWS = 100
_MOST_DRAWS_OF_SLICES = 6_000
"""Draws of the bootstrap in all slices together; of hundreds only shares have intervals."""
_MOST_PAIRS = 5_000_000
"""Pairs of image and label that the ROC curve over all of them looks at."""
_ROC_POINTS = 100


def compute_results(
    predictions: "pa.Table", answers: Answers, settings: EvaluateSettings
) -> list[Result]:
    """Computes the metrics of all photographs and then of every slice.

    Args:
        predictions: As `read_predictions` gives them.
        answers: The model's answers to them.
        settings: The evaluate step's settings.

    Returns:
        Of each `slice` (value by feature), `count`, `metrics` (None is not a number; what a slice
        cannot have is left out) and `intervals` by metric. Of all photographs also `per_label`,
        `reliability`, `roc` (one curve) and, of a single-label model, `confusion`: the label,
        predicted label and number of images of every pair that occurs.
    """
    slices = list(find_slices(predictions, settings.slicings, settings.buckets))
    own = metrics_for(answers, settings)
    by_tfma = _tfma_values(slices, answers, own)
    results = []
    for place, of_slice in enumerate(slices):
        within = answers if place == 0 else answers.take(of_slice.places)
        results.append(_result(of_slice, within, own, by_tfma[place]))
    results[0] |= _details(answers)
    drawn = [metric for metric in own if not metric.is_share]
    results[0]["intervals"] |= _bootstrapped(answers, drawn, REPLICATES)
    each = min(REPLICATES, _MOST_DRAWS_OF_SLICES // max(1, len(slices) - 1))
    for of_slice, result in zip(slices[1:], results[1:], strict=True):
        result["intervals"] |= _bootstrapped(answers.take(of_slice.places), drawn, each)
    return results


def metrics_for(answers: Answers, settings: EvaluateSettings) -> list[Metric]:
    """The metrics that a model has."""
    several, count = isinstance(answers, MultiLabelAnswers), len(answers.labels)
    has_positive = isinstance(answers, SingleLabelAnswers) and answers.positive is not None
    return [
        metric
        for metric in known_metrics().values()
        if metric.applies(several, count)
        and (not metric.needs or getattr(settings, metric.needs))
        and (not metric.needs_positive or has_positive)
    ]


def metric_value(metric: Metric, answers: Answers) -> float | None:
    """A metric of some answers; None where they have none, or where TFMA computes it."""
    way = metric.computation(isinstance(answers, MultiLabelAnswers))
    return None if way is None or isinstance(way, TfmaMetric) else way(answers)


def _result(
    of_slice: Slice, answers: Answers, metrics: Sequence[Metric], by_tfma: Mapping[str, float]
) -> Result:
    known = {
        metric.name: by_tfma.get(metric.name, metric_value(metric, answers)) for metric in metrics
    }
    count = answers.count
    shares = {metric.name: known[metric.name] for metric in metrics if metric.is_share}
    return {
        "slice": dict(of_slice.values),
        "count": count,
        "metrics": {
            name: _json_number(value) for name, value in known.items() if value is not None
        },
        "intervals": {
            name: list(wilson(round(share * count), count))
            for name, share in shares.items()
            if share is not None
        },
    }


def _details(answers: Answers) -> dict[str, Any]:
    bins = [[_json_number(value) for value in row] for row in answers.reliability.tolist()]
    details: dict[str, Any] = {"per_label": label_rows(answers), "reliability": bins}
    details["roc"] = _roc(answers)
    if isinstance(answers, SingleLabelAnswers):
        matrix = answers.confusion
        details["confusion"] = [
            [answers.labels[true], answers.labels[guess], int(matrix[true, guess])]
            for true, guess in zip(*matrix.nonzero(), strict=True)
        ]
    return details


def _roc(answers: Answers) -> dict[str, list[float]] | None:
    """One ROC curve: of two labels that of the positive one, of more over all pairs.

    None where there is none: all or none are positive, or a probability is not a number.
    """
    import numpy as np

    if not answers.finite:
        return None
    if len(answers.labels) == 2 and isinstance(answers, SingleLabelAnswers):
        place = 1 if answers.positive is None else answers.positive[0]
        positive, scores = answers.has(place), answers.probabilities[:, place]
    else:
        known = answers.take(np.arange(answers.count)[: _MOST_PAIRS // len(answers.labels)])
        positive, scores = known.actual.ravel(), known.probabilities.ravel()
    found = curve(positive, scores, _ROC_POINTS)
    if not (found.positives and found.negatives):
        return None
    return {
        "false_positive_rate": (found.false_alarms / found.negatives).tolist(),
        "recall": (found.hits / found.positives).tolist(),
        "thresholds": found.thresholds.tolist(),
    }


def _bootstrapped(answers: Answers, metrics: Sequence[Metric], most: int) -> dict[str, list[float]]:
    """The intervals of metrics that have none in closed form, by at most so many draws.

    None of them where fewer draws than that tell anything: of very many photographs, whose metrics
    hardly move, and of one of very many slices.
    """
    draws = min(most, int(_MOST_DRAWN / answers.probabilities.size))
    if draws < _FEWEST_DRAWS:
        return {}
    found = bootstrap(lambda places: _values(metrics, answers.take(places)), answers.count, draws)
    return {
        metric.name: list(interval)
        for metric, interval in zip(metrics, found, strict=True)
        if interval is not None
    }


def _values(metrics: Sequence[Metric], answers: Answers) -> list[float | None]:
    return [metric_value(metric, answers) for metric in metrics]


def _tfma_values(
    slices: Sequence[Slice], answers: Answers, metrics: Sequence[Metric]
) -> list[dict[str, float]]:
    """What TFMA computes of each slice; nothing, and no import of it, where no metric asks."""
    several = isinstance(answers, MultiLabelAnswers)
    ways = {metric.name: metric.computation(several) for metric in metrics}
    asked = {name: way for name, way in ways.items() if isinstance(way, TfmaMetric)}
    if not asked:
        return [{} for _ in slices]
    from components.evaluate.slices.tfma import tfma_values

    return tfma_values(slices, answers, asked)


def _json_number(value: float) -> float | None:
    """The number; None for not-a-number and infinity, which JSON cannot write."""
    return float(value) if math.isfinite(value) else None
