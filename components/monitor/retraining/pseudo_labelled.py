"""The photographs of production that a noisy student is trained on: labelled by the model itself.

    DATASET/pseudo-labels-0001-20261127t090000.csv      a table for each retraining that has some

It is read by that retraining alone: the next teacher says again what it is sure of. Photographs
that people labelled meanwhile are in their tables.
"""

import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from components.monitor.labelling.pseudo_labels import balanced, pseudo_label_table
from components.monitor.labelling.settings import PseudoLabelSettings
from components.monitor.retraining.claims import Retraining
from components.monitor.retraining.dataset import place_of, write_photograph
from components.monitor.retraining.labelled import Kept, kept_photographs
from components.monitor.retraining.settings import RetrainSettings
from darkroom.artifacts.examples import MONITORED, SOURCE
from darkroom.errors import StepError
from darkroom.storage import files

_log = logging.getLogger("darkroom.monitor")

_UNLABELLED = """
    SELECT image_id, max(confidence) AS surest, columns FROM answers
    WHERE version = :version AND label = :label AND confidence >= :threshold
    AND NOT EXISTS (SELECT 1 FROM truths WHERE "by" = 'image_id' AND name = image_id)
    AND NOT EXISTS (SELECT 1 FROM truths WHERE "by" = 'key' AND name = key)
    GROUP BY image_id ORDER BY surest DESC, image_id
"""


class PseudoLabelled(NamedTuple):
    """A photograph of production with the label that the model gave it.

    Attributes:
        image_id: Its digest.
        label: The label.
        probability: Its probability.
        columns: What the samples say of it beside, to slice or group by.
    """

    image_id: str
    label: str
    probability: float
    columns: dict[str, Any]


def write_pseudo_labelled(
    connection: sqlite3.Connection,
    settings: Kept,
    retrain: RetrainSettings,
    found: Retraining,
    version: str,
    known: Collection[str],
) -> int:
    """Writes the table of a retraining, and its photographs, unless it is there.

    Args:
        connection: The monitor's database.
        settings: Where the server's samples and the batch predictions are.
        retrain: Where the dataset is, and what counts as sure.
        found: The retraining.
        version: The teacher, whose answers are taken.
        known: `image_id` of photographs that the dataset has under people's labels.

    Returns:
        How many photographs it has; 0: the model is sure of none, and there is no table.

    Raises:
        StepError: The dataset cannot be read or written.
    """
    place = retrain.pseudo_labels_of(found.key)
    with files.clear_errors(f"cannot read {retrain.dataset}", StepError):
        if files.exists(place):
            return len(files.read_bytes(place).splitlines()) - 1
    chosen = _chosen(_sure(connection, retrain.pseudo_labels, version, known), retrain)
    missing = {each.image_id for each in chosen}
    for image_id, content in kept_photographs(settings, missing):
        write_photograph(retrain.dataset, image_id, content)
    if missing:
        _log.warning(
            "%d of %d photographs that the model is sure of were not kept",
            len(missing),
            len(chosen),
        )
    chosen = _chosen((each for each in chosen if each.image_id not in missing), retrain)
    counts = Counter(each.label for each in chosen)
    _log.info(
        "retraining %d: labels of the model: %s",
        found.number,
        ", ".join(f"{label} {count:,}" for label, count in sorted(counts.items())) or "none",
    )
    if chosen:
        with files.clear_errors(f"cannot write to {retrain.dataset}", StepError):
            files.create(place, _table(chosen, retrain.pseudo_labels).encode())
    return len(chosen)


def _sure(
    connection: sqlite3.Connection,
    settings: PseudoLabelSettings,
    version: str,
    known: Collection[str],
) -> Iterator[PseudoLabelled]:
    """Of each label the photographs without labels that a version is surest of, those first."""
    labels = connection.execute("SELECT DISTINCT label FROM answers WHERE version = ?", (version,))
    for label in sorted(label for (label,) in labels):
        asked = {"version": version, "label": label, "threshold": settings.threshold}
        count = 0
        for image_id, probability, columns in connection.execute(_UNLABELLED, asked):
            if image_id in known:
                continue
            yield PseudoLabelled(image_id, label, probability, json.loads(columns))
            if (count := count + 1) == settings.per_label:
                break


def _chosen(found: Iterator[PseudoLabelled], retrain: RetrainSettings) -> list[PseudoLabelled]:
    by_label: dict[str, list[PseudoLabelled]] = {}
    for each in found:
        by_label.setdefault(each.label, []).append(each)
    settings = retrain.pseudo_labels
    return balanced(list(by_label.values()), settings.per_label, settings.imbalance)


def _table(chosen: list[PseudoLabelled], settings: PseudoLabelSettings) -> str:
    return pseudo_label_table(
        (place_of(each.image_id), each.label, each.probability, _cells(each, settings))
        for each in chosen
    )


def _cells(each: PseudoLabelled, settings: PseudoLabelSettings) -> dict[str, Any]:
    passed = {name: each.columns.get(name, "") for name in settings.pass_columns}
    return {SOURCE: MONITORED, **passed}
