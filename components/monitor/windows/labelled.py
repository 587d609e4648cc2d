"""The labelled photographs of a window: the answers that metrics are computed of, and columns."""

import dataclasses
import json
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from components.monitor.reading.answer import MEASURES
from components.monitor.windows.reference import Reference
from darkroom.answers.answers import SingleLabelAnswers

MOST = 100_000
"""Labelled photographs of a window that metrics are computed of: of more, those that come first in
the order of their digests, which is a random one. Memory has an end then."""

Places = npt.NDArray[np.int64]

_ROWS = f"""
    SELECT looked.label, label_index, probabilities, looked.columns, label_columns,
        {", ".join(f"answers.{name}" for name in MEASURES)}
    FROM looked JOIN answers USING (id)
    WHERE looked.label IS NOT NULL AND length(probabilities) = ?
    ORDER BY looked.rowid LIMIT ?
"""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class GivenAnswers(SingleLabelAnswers):
    """Answers whose label is the one that was given, by whatever rule the model has.

    Attributes:
        given: Its place among the labels, int64 [N].
    """

    given: Places

    @property
    def predicted(self) -> Places:
        """The label that each image was given, int64 [N]."""
        return self.given

    def take(self, places: Any) -> Self:
        """The answers to the images at these places."""
        return dataclasses.replace(
            self,
            probabilities=self.probabilities[places],
            indices=self.indices[places],
            given=self.given[places],
        )


class Labelled(NamedTuple):
    """Photographs whose label is known.

    Attributes:
        answers: What was answered, and what is right. A label that the model does not know is one
            more label, of probability 0.
        columns: By column to slice by, the value of each photograph; None where it has none.
    """

    answers: GivenAnswers
    columns: dict[str, list[str | None]]


def read_labelled(
    connection: sqlite3.Connection,
    labels: Sequence[str],
    columns: Collection[str],
    reference: Reference | None,
) -> Labelled:
    """Reads the photographs of `looked` that have a label.

    Args:
        connection: The database.
        labels: The model's labels, in the order of the probabilities.
        columns: The columns to slice by; one of the labels' tables has the say over one of the
            answers.
        reference: Says where measures are cut; without, they have no values.
    """
    cuts = {name: [] if reference is None else reference.cuts(name) for name in MEASURES}
    known: dict[str, int] = {label: place for place, label in enumerate(labels)}
    of_columns: dict[str, list[str | None]] = {name: [] for name in columns}
    texts: dict[str, str] = {}  # each once in memory
    indices: list[int] = []
    given: list[int] = []
    probabilities: list[bytes] = []
    for label, index, row, of_answer, of_label, *measures in connection.execute(
        _ROWS, (4 * len(labels), MOST)
    ):
        indices.append(known.setdefault(label, len(known)))
        given.append(index)
        probabilities.append(row)
        values = json.loads(of_answer) | json.loads(of_label) | {"label": label}
        for name, measure in zip(MEASURES, measures, strict=True):
            values[name] = bucket(measure, cuts[name])
        for name, column in of_columns.items():
            value = values.get(name)
            column.append(None if value is None else texts.setdefault(str(value), str(value)))
    filled = np.zeros((len(given), len(known)), np.float32)
    joined = np.frombuffer(b"".join(probabilities), np.float32)
    filled[:, : len(labels)] = joined.reshape(-1, len(labels))
    answers = GivenAnswers(
        tuple(known), filled, np.array(indices, np.int64), given=np.array(given, np.int64)
    )
    return Labelled(answers, of_columns)


def bucket(value: float | None, cuts: Sequence[float]) -> str | None:
    """The name of the bucket that a value falls in; None where there are no buckets.

    >>> bucket(100.0, [96, 144]), bucket(10, [96, 144]), bucket(144, [96, 144])
    ('96 to 144', 'below 96', '144 and more')
    """
    if value is None or not cuts:
        return None
    place = int(np.searchsorted(cuts, value, "right"))
    if place == 0:
        return f"below {cuts[0]:g}"
    if place == len(cuts):
        return f"{cuts[-1]:g} and more"
    return f"{cuts[place - 1]:g} to {cuts[place]:g}"
