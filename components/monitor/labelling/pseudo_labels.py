"""Labels that a model gives itself: the teacher's part of a noisy student.

Xie et al., Self-training with noisy student improves ImageNet classification, CVPR 2020: the
teacher's confident answers to unlabelled photographs, balanced by label, are labels for a student.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.monitor.labelling.pool import Pool
from darkroom.errors import SettingsError
from darkroom.storage.atomic import write_text

PSEUDO_LABELLED = "pseudo_labelled"
"""Column of the table, and feature of the examples, that marks a photograph: 1."""
CONFIDENCE = "teacher_probability"
COLUMNS = ("image", "label", "split", PSEUDO_LABELLED, CONFIDENCE)


class PseudoLabel(NamedTuple):
    """A photograph with the label that the teacher gives it.

    Attributes:
        place: Of the photograph in the pool.
        label: The label.
        probability: The teacher's.
    """

    place: int
    label: str
    probability: float


def select_pseudo_labels(
    pool: Pool,
    threshold: float,
    per_label: int,
    imbalance: float = 2.0,
    kept_out: Collection[str] = (),
) -> list[PseudoLabel]:
    """Selects the photographs that the teacher is sure of, those it is surest of first.

    Args:
        pool: The photographs; those that have a label are left out.
        threshold: The least probability, above 0 to 1.
        per_label: The most photographs of a label, at least 1.
        imbalance: How many times as many a label may have as the label with the fewest, of those
            that have any; at least 1.
        kept_out: `image_id` of photographs that must not be trained on: all of valid and test.

    Returns:
        By label, in the order of the pool's labels.

    Raises:
        SettingsError: A photograph may have several labels, or a number is out of its range.
    """
    if pool.thresholds is not None:
        raise SettingsError("pseudo-labels are for models that give each photograph one label")
    if not 0 < threshold <= 1 or per_label < 1 or imbalance < 1:
        raise SettingsError(
            "pseudo-labels need a threshold above 0 and at most 1, per_label of at least 1, and "
            "an imbalance of at least 1"
        )
    given = pool.probabilities.argmax(axis=1)
    surest = np.argsort(-pool.probabilities.max(axis=1), kind="stable")
    found: dict[int, list[PseudoLabel]] = defaultdict(list)
    forbidden = frozenset(kept_out)
    for place in surest.tolist():
        probability = float(pool.probabilities[place].max())
        if probability < threshold:
            break
        if not pool.labelled[place] and pool.image_ids[place] not in forbidden:
            label = int(given[place])
            found[label].append(PseudoLabel(place, pool.labels[label], probability))
    fewest = min(map(len, found.values()), default=0)
    most = min(per_label, int(imbalance * fewest))
    return [each for label in sorted(found) for each in found[label][:most]]


def write_pseudo_labels(path: Path, pool: Pool, selected: Sequence[PseudoLabel]) -> None:
    """Writes a table for ingest, whose photographs are all for train and are marked.

    Args:
        path: The CSV to write.
        pool: The photographs.
        selected: Of them, as `select_pseudo_labels` selects them.

    Raises:
        OSError: It cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in selected:
        probability = f"{each.probability:.4f}"
        writer.writerow((pool.images[each.place], each.label, "train", 1, probability))
    write_text(path, text.getvalue())
