"""The confusion matrix as a table, whose wrong cells open their photographs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluate.report.mistakes import Answer
from darkroom.answers.answers import SingleLabelAnswers

MOST_LABELS = 30
"""Labels of a matrix; of more, those that are most often confused."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of the matrix.

    Attributes:
        count: Number of images.
        share: Of its row's images.
        key: Under which the page has its photographs; "" where it has none.
    """

    count: int
    share: float
    key: str


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A confusion matrix.

    Attributes:
        labels: The labels of its rows and columns.
        rows: By label a cell for each predicted label.
        left_out: How many labels are not shown.
    """

    labels: list[str]
    rows: list[list[Cell]]
    left_out: int


def matrix_of(
    answers: SingleLabelAnswers, photographs: Mapping[tuple[int, int], Sequence[Answer]]
) -> Matrix:
    """The matrix of a model's answers.

    Args:
        answers: The answers.
        photographs: What `confused` gives.
    """
    counts: Any = answers.confusion
    wrong = counts - np.diag(np.diag(counts))
    involved = wrong.sum(axis=0) + wrong.sum(axis=1)
    shown = np.sort(np.argsort(-involved, kind="stable")[:MOST_LABELS])
    totals = np.maximum(counts.sum(axis=1), 1)
    rows = [
        [
            Cell(
                int(counts[row, column]),
                float(counts[row, column] / totals[row]),
                cell_key((row, column)) if (row, column) in photographs else "",
            )
            for column in map(int, shown)
        ]
        for row in map(int, shown)
    ]
    labels = [answers.labels[label] for label in shown]
    return Matrix(labels, rows, len(answers.labels) - len(shown))


def cell_key(cell: tuple[int, int]) -> str:
    """The name of a cell within the page."""
    return f"{cell[0]}-{cell[1]}"
