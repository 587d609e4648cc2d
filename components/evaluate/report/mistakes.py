"""The answers to look at: the surest wrong ones, the least sure, and what is taken for what."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.answers.answers import Answers, MultiLabelAnswers, SingleLabelAnswers

if TYPE_CHECKING:
    import pyarrow as pa

NONE = "no label"
CELL_PICTURES = 6
"""Photographs that are shown of one cell of the confusion matrix."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer to a test image.

    Attributes:
        image_id: The image's identity.
        image_path: Where it came from.
        label: What it shows.
        predicted_label: What the model says.
        probability: The model's probability for that.
        about: Of several labels, the wrong one that the probability is of; else empty.
    """

    image_id: str
    image_path: str
    label: str
    predicted_label: str
    probability: float
    about: str = ""


def worst_mistakes(predictions: "pa.Table", answers: Answers, limit: int) -> list[Answer]:
    """The wrong answers of the highest probability, the highest first.

    Args:
        predictions: As `read_predictions` gives them.
        answers: The model's answers to them.
        limit: Largest number of mistakes.
    """
    wrong = np.flatnonzero(~answers.is_right)
    if isinstance(answers, MultiLabelAnswers):
        sureness, about = _surest_errors(answers)
    else:
        sureness, about = _top(answers), None
    # Ties are ordered by image id, as the predictions are.
    order = wrong[np.argsort(-sureness[wrong], kind="stable")][:limit]
    names = [""] * len(order) if about is None else [answers.labels[about[at]] for at in order]
    return _described(predictions, order, sureness, names)


def least_sure(predictions: "pa.Table", answers: Answers, limit: int) -> list[Answer]:
    """The answers of the lowest probability, the lowest first; none of a multi-label model.

    Args:
        predictions: As `read_predictions` gives them.
        answers: The model's answers to them.
        limit: Largest number of answers.
    """
    if isinstance(answers, MultiLabelAnswers):
        return []
    sureness = _top(answers)
    order = np.argsort(sureness, kind="stable")[:limit]
    return _described(predictions, order, sureness, [""] * len(order))


def confused(
    predictions: "pa.Table", answers: SingleLabelAnswers, most: int
) -> dict[tuple[int, int], list[Answer]]:
    """Photographs of the cells of the confusion matrix that are wrong, the surest first.

    Args:
        predictions: As `read_predictions` gives them.
        answers: The model's answers to them.
        most: Photographs in all; the fullest cells come first.

    Returns:
        Answers by label and predicted label.
    """
    wrong = np.flatnonzero(~answers.is_right)
    sureness = _top(answers)
    places: dict[tuple[int, int], list[int]] = {}
    for place in wrong[np.argsort(-sureness[wrong], kind="stable")]:
        cell = int(answers.indices[place]), int(answers.predicted[place])
        places.setdefault(cell, []).append(int(place))
    found: dict[tuple[int, int], list[Answer]] = {}
    for cell, inside in sorted(places.items(), key=lambda item: -len(item[1])):
        shown = np.array(inside[: min(CELL_PICTURES, most)])
        if len(shown):
            found[cell] = _described(predictions, shown, sureness, [""] * len(shown))
            most -= len(shown)
    return found


def _top(answers: Any) -> Any:
    """The probability of the label that each image is given, float32 [N]; 0 if no number."""
    known = np.nan_to_num(answers.probabilities, nan=0.0)
    return np.take_along_axis(known, answers.predicted[:, np.newaxis], axis=1)[:, 0]


def _surest_errors(answers: MultiLabelAnswers) -> tuple[Any, Any]:
    """How sure the model is of the label that it is surest and wrong about, and which it is."""
    known = np.nan_to_num(answers.probabilities, nan=0.0)
    sure = np.where(answers.predicted, known, 1 - known)
    sure = np.where(answers.predicted == answers.actual, -1.0, sure)
    # Of equals the last, in the order of labels' names.
    about = sure.shape[1] - 1 - sure[:, ::-1].argmax(axis=1)
    return np.take_along_axis(sure, about[:, np.newaxis], axis=1)[:, 0], about


def _described(
    predictions: "pa.Table", places: Any, sureness: Any, about: list[str]
) -> list[Answer]:
    several = "labels" in predictions.column_names
    names = ("labels", "predicted_labels") if several else ("label", "predicted_label")
    rows = predictions.select(["image_id", "image_path", *names]).take(places).to_pylist()
    return [
        Answer(
            image_id=row["image_id"],
            image_path=row["image_path"],
            label=_joined(row[names[0]]),
            predicted_label=_joined(row[names[1]]),
            probability=float(sureness[place]),
            about=of,
        )
        for row, place, of in zip(rows, places, about, strict=True)
    ]


def _joined(labels: str | list[str]) -> str:
    return labels if isinstance(labels, str) else ", ".join(labels) or NONE
