"""Labels that a model gives itself: the teacher's part of a noisy student.

Xie et al., Self-training with noisy student improves ImageNet classification, CVPR 2020: the
teacher's confident answers to unlabelled photographs, balanced by label, are labels for a student.

    python -m components.monitor.labelling.pseudo_labels --predictions PREDICTED --table TABLE.csv
"""

import csv
import io
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from components.monitor.labelling.pool import Pool, read_answers
from components.monitor.labelling.settings import PseudoLabelSettings
from darkroom.artifacts.batch_predictions import read_batch_predictions
from darkroom.artifacts.examples import PSEUDO_LABELLED
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.cli import step_command
from darkroom.storage.atomic import write_text
from darkroom.storage.paths import is_uri

CONFIDENCE = "teacher_probability"
COLUMNS = ("image", "label", "split", PSEUDO_LABELLED, CONFIDENCE)

_Photograph = TypeVar("_Photograph")
_log = logging.getLogger("darkroom.monitor")


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


def pseudo_label(
    predictions: Path, settings: PseudoLabelSettings, *, table: Path, folder: str = ""
) -> dict[str, Any]:
    """Writes a table for ingest of the photographs that a model is sure of, with its labels.

    Args:
        predictions: What batch prediction wrote of photographs without labels.
        settings: Which photographs are taken.
        table: Output: a CSV, all of whose rows are for train, and marked.
        folder: What the paths of the photographs are relative to, where a table in another folder
            named them.

    Returns:
        How many photographs were taken by label, and of how many.

    Raises:
        SettingsError: The model may give several labels, a column is not there, or photographs are
            not where the predictions say.
        StepError: The predictions are not complete, or none of them is sure enough.
    """
    known = read_batch_predictions(predictions)
    pool, cells = read_answers(known, settings.pass_columns, folder and f"{folder.rstrip('/')}/")
    selected = select_pseudo_labels(
        pool, settings.threshold, settings.per_label, settings.imbalance
    )
    total = len(pool.images)
    if not selected:
        raise StepError(
            f"the model gives none of {total:,} photographs a label with a probability of "
            f"{settings.threshold:g}: lower `threshold`"
        )
    first = pool.images[selected[0].place]
    if not is_uri(first) and not Path(first).exists():
        raise SettingsError(f"there is no file {first}: give the folder of the table as --folder")
    write_pseudo_labels(table, pool, selected, cells)
    counts = Counter(each.label for each in selected)
    listed = ", ".join(f"{label} {counts[label]:,}" for label in pool.labels)
    _log.info("%s of %s photographs: %s", f"{len(selected):,}", f"{total:,}", listed)
    missing = [label for label in pool.labels if not counts[label]]
    if missing:
        _log.warning("none is surely %s", " or ".join(missing))
    return {"selected": dict(counts), "photographs": total}


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
    return balanced([found[label] for label in sorted(found)], per_label, imbalance)


def balanced(
    by_label: Sequence[Sequence[_Photograph]], per_label: int, imbalance: float
) -> list[_Photograph]:
    """The first photographs of each label, so that none has many more than another.

    Args:
        by_label: The photographs of each label that has some, the surest first.
        per_label: The most of a label.
        imbalance: How many times as many a label may have as the one with the fewest.

    >>> balanced(["abcde", "xy"], per_label=10, imbalance=1.5)
    ['a', 'b', 'c', 'x', 'y']
    """
    fewest = min(map(len, by_label), default=0)
    most = min(per_label, int(imbalance * fewest))
    return [each for photographs in by_label for each in photographs[:most]]


def write_pseudo_labels(
    path: Path,
    pool: Pool,
    selected: Sequence[PseudoLabel],
    cells: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Writes a table for ingest, whose photographs are all for train and are marked.

    Args:
        path: The CSV to write.
        pool: The photographs.
        selected: Of them, as `select_pseudo_labels` selects them.
        cells: Further columns, of each photograph of the pool; empty for none.

    Raises:
        OSError: It cannot be written.
    """
    rows = (
        (pool.images[each.place], each.label, each.probability, cells[each.place] if cells else {})
        for each in selected
    )
    write_text(path, pseudo_label_table(rows))


def pseudo_label_table(rows: Iterable[tuple[str, str, float, Mapping[str, Any]]]) -> str:
    """A CSV of photographs for train alone, which are marked.

    Args:
        rows: Of each photograph its place, its label, the probability, and further columns, whose
            names are the same in all rows.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names: list[str] | None = None
    for image, label, probability, cells in rows:
        if names is None:
            names = [name for name in cells if name not in COLUMNS]
            writer.writerow((*COLUMNS, *names))
        more = (cells[name] for name in names)
        writer.writerow((image, label, "train", 1, f"{probability:.4f}", *more))
    return text.getvalue()


if __name__ == "__main__":
    step_command(pseudo_label)
