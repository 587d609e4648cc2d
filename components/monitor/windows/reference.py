"""What windows are held against: a version as it was evaluated, and its photographs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.monitor.drift.answers import confidences, entropies
from components.monitor.drift.shares import cut_points, histogram
from components.monitor.reading.answer import MEASURES
from components.monitor.sequential.changed_share import Counted
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.artifacts.predictions import (
    SLICES,
    prediction_rows,
    probability_array,
    read_predictions,
)
from darkroom.artifacts.statistics import read_statistics
from darkroom.errors import SettingsError

ANSWER_MEASURES = ("confidence", "entropy")


class Reference(NamedTuple):
    """What windows are held against.

    Attributes:
        labels: The model's labels, in the order of the probabilities.
        given: Photographs by the label that the model gave them.
        formats: Photographs by file format; empty if that is not known.
        histograms: Photographs by bin of each measure that is known, as `histogram` counts them.
        right: By slice, as JSON, how many of the test split are answered rightly; `{}` is all.
        valid: Of each photograph of the valid split its confidence, and whether it is right.
    """

    labels: tuple[str, ...]
    given: Mapping[str, int]
    formats: Mapping[str, int]
    histograms: Mapping[str, Sequence[int]]
    right: Mapping[str, Counted]
    valid: Sequence[tuple[float, bool]] = ()

    def cuts(self, measure: str) -> list[float]:
        """Where a measure is cut; nowhere if the reference does not know it."""
        known = self.histograms.get(measure)
        return [] if known is None else cut_points(measure, known)


def slice_name(values: Mapping[str, Any]) -> str:
    """The name of a slice in the database.

    >>> slice_name({"label": "roses", "camera": 2})
    '{"camera": "2", "label": "roses"}'
    """
    return json.dumps(
        {name: str(values[name]) for name in sorted(values)}, ensure_ascii=False, sort_keys=True
    )


def read_reference(
    evaluation: Path, statistics: Path | None, slicings: Sequence[tuple[str, ...]]
) -> Reference:
    """Reads a reference.

    Answers of the valid and the test split are counted, which the version was fitted on neither of;
    how often they are right, of the test split alone, since it was chosen by the valid one.

    Args:
        evaluation: The version's evaluation artifact.
        statistics: The statistics artifact of its photographs; None if there is none.
        slicings: The columns to slice by at once.

    Raises:
        SettingsError: The version gives several labels.
        StepError: An artifact is missing or not complete.
    """
    import pyarrow.compute as pc

    of = read_evaluation(evaluation)
    if of.manifest.get("multi_label"):
        raise SettingsError(
            f"{evaluation} is of a model that gives several labels, which is not watched"
        )
    given: Counter[str] = Counter()
    histograms: dict[str, Any] = {}
    right: dict[str, Counted] = {}
    valid: list[tuple[float, bool]] = []
    for split in ("valid", "test"):
        table = read_predictions(evaluation, split)
        if not len(table):
            continue
        given.update(table["predicted_label"].to_pylist())
        probabilities = probability_array(table)
        of_answers = {"confidence": confidences, "entropy": entropies}
        for name, measured in of_answers.items():
            counts = histogram(name, measured(probabilities))
            histograms[name] = counts + histograms.get(name, 0)
        if split == "test":
            right = _right(list(prediction_rows(table)), slicings)
        else:
            hits = pc.equal(table["label"], table["predicted_label"]).to_pylist()
            valid = list(zip(confidences(probabilities).tolist(), hits, strict=True))
    formats: Mapping[str, int] = {}
    if statistics is not None:
        overall = read_statistics(statistics).overall
        formats = dict(overall.formats)
        histograms |= {name: overall.histograms[name] for name in MEASURES}
    counted = {name: np.asarray(counts).tolist() for name, counts in histograms.items()}
    return Reference(of.labels, dict(given), formats, counted, right, valid)


def _right(
    rows: Sequence[Mapping[str, Any]], slicings: Sequence[tuple[str, ...]]
) -> dict[str, Counted]:
    hits: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    for row in rows:
        values = {"label": row["label"], **row[SLICES]}
        of_row = [
            slice_name({name: values[name] for name in names})
            for names in ((), *slicings)
            if all(values.get(name) is not None for name in names) and not set(names) & {*MEASURES}
        ]
        totals.update(of_row)
        if row["predicted_label"] == row["label"]:
            hits.update(of_row)
    return {name: Counted(hits[name], total) for name, total in totals.items()}
