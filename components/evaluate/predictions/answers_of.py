"""The answers of a model or of its champion, out of the stored predictions."""

from typing import TYPE_CHECKING

import numpy as np

from components.evaluate.settings import EvaluateSettings
from darkroom.answers.answers import Answers, MultiLabelAnswers, SingleLabelAnswers
from darkroom.artifacts.model import Model
from darkroom.artifacts.predictions import probability_array

if TYPE_CHECKING:
    import pyarrow as pa


def answers_of(
    predictions: "pa.Table", model: Model, settings: EvaluateSettings, champion: bool = False
) -> Answers:
    """The answers to all images of some predictions.

    Args:
        predictions: As `read_predictions` gives them.
        model: The model that gave them; its labels are in the order of the probabilities.
        settings: The evaluate step's settings.
        champion: Whether those of the champion are meant.
    """
    probabilities = probability_array(predictions, champion)
    if model.thresholds is None:
        indices = predictions["label_index"].to_numpy()
        costs = _cost_matrix(settings, model.labels)
        positive = None
        if model.decision is not None:
            place = model.labels.index(model.decision.positive_label)
            positive = place, model.decision.threshold
        return SingleLabelAnswers(
            model.labels, probabilities, indices, costs, settings.beta, positive
        )
    having = np.zeros(probabilities.shape, np.bool_)
    lists = predictions["label_indices"].combine_chunks()
    images = np.repeat(np.arange(len(lists)), np.diff(lists.offsets.to_numpy()))
    having[images, lists.values.to_numpy()] = True
    thresholds = np.array(model.thresholds, np.float32)
    return MultiLabelAnswers(model.labels, probabilities, having, thresholds, settings.beta)


def _cost_matrix(settings: EvaluateSettings, labels: tuple[str, ...]) -> "np.ndarray | None":
    """Costs by label (row) and predicted label (column); what is not stated costs 1."""
    if not settings.costs:
        return None
    places = {label: place for place, label in enumerate(labels)}
    costs = 1.0 - np.eye(len(labels))
    for label, by_prediction in settings.costs.items():
        for predicted, cost in by_prediction.items():
            costs[places[label], places[predicted]] = cost
    return costs
