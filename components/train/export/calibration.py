"""Calibration: one temperature, so that probabilities say how often the model is right."""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.model.network import HEAD
from components.train.model.thresholds import valid_answers
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

FEWEST = 50
"""Valid photographs below which no temperature is fitted."""
_LOWEST, _HIGHEST = 0.2, 5.0
_SMALLEST = 1e-30

_log = logging.getLogger("darkroom.train")

Floats = npt.NDArray[Any]


def calibrate(
    model: Any, source: TransformedExamples, graph: TransformGraph, batch_size: int
) -> float:
    """Divides the head's logits by the temperature that fits the valid split best.

    Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017). It moves
    all probabilities nearer to each other or apart, and changes no most probable label. Since the
    head is linear, its weights are divided: every exported form is calibrated alike.

    Args:
        model: keras.Model with a layer of name `HEAD`; from the examples' pixels or embeddings to
            probabilities, float32 [N, K].
        source: Transformed examples.
        graph: The graph that gave them.
        batch_size: Photographs per batch.

    Returns:
        The temperature; 1 where there are too few valid photographs to fit it.
    """
    count = source.counts.get("valid", 0)
    if count < FEWEST:
        _log.info("not calibrated: %d valid photographs are too few, from %d on", count, FEWEST)
        return 1.0
    labels, probabilities = valid_answers(model, source, graph, batch_size)
    temperature = best_temperature(labels, probabilities, graph.multi_label)
    head = model.get_layer(HEAD)
    head.set_weights([weight / temperature for weight in head.get_weights()])
    _log.info("calibrated on %s valid photographs: temperature %.2f", f"{count:,}", temperature)
    return temperature


def best_temperature(labels: Floats, probabilities: Floats, multi_label: bool) -> float:
    """The temperature of the lowest log loss, between 0.2 and 5.

    Args:
        labels: Whether each photograph has each label, [N, K].
        probabilities: float32 [N, K].
        multi_label: Whether a photograph may have several labels.
    """
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        changed = tempered(probabilities, float(np.exp(logarithm)), multi_label)
        right = np.where(labels > 0, changed, 1 - changed) if multi_label else changed[labels > 0]
        return float(-np.log(np.maximum(right, _SMALLEST)).mean())

    found = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def tempered(probabilities: Floats, temperature: float, multi_label: bool) -> Floats:
    """What probabilities become, float64 [N, K].

    >>> tempered(np.array([[0.8, 0.2]]), 2.0, multi_label=False).round(3).tolist()
    [[0.667, 0.333]]
    """
    kept = np.maximum(probabilities.astype(np.float64), _SMALLEST)
    if multi_label:
        odds = (np.maximum(1 - kept, _SMALLEST) / kept) ** (1 / temperature)
        return np.asarray(1 / (1 + odds))
    logits = np.log(kept) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
