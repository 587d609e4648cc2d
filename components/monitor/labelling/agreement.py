"""What annotators agree on: the labels table that ingest and the monitor read."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from components.monitor.labelling.export import Annotation
from darkroom.artifacts.rejected import Reason, Rejection
from darkroom.errors import SettingsError
from darkroom.settings import nearest
from darkroom.storage.atomic import write_text


class Labelled(NamedTuple):
    """A photograph with the labels that more than half of its annotators give.

    Attributes:
        image: Path or URI.
        image_id: SHA-256 of its file; empty where that is not known.
        labels: The labels, sorted; one, unless photographs may have several.
        key: What it was called in the request to the server; empty where that is not known.
    """

    image: str
    image_id: str
    labels: tuple[str, ...]
    key: str = ""


class Agreement(NamedTuple):
    """Labels, and what did not become one.

    Attributes:
        labelled: In the order in which they were first annotated.
        conflicting: Photographs of which not all annotators say the same.
        unknown: How often a label was given that is none of the expected ones, by its name.
        rejected: Annotations of an unknown label, and photographs without a majority.
    """

    labelled: list[Labelled]
    conflicting: int
    unknown: dict[str, int]
    rejected: list[Rejection]


def agree(
    annotations: Iterable[Annotation], labels: Collection[str] | None = None, several: bool = False
) -> Agreement:
    """Finds the labels of photographs by majority.

    Of one annotator the last annotation of a photograph counts. A row that says not whose it is
    counts for itself.

    Args:
        annotations: As `read_export` reads them.
        labels: The labels there are; None takes all.
        several: Whether a photograph may have several, each decided for itself.
    """
    ballots: dict[str, dict[object, Annotation]] = defaultdict(dict)
    unknown: Counter[str] = Counter()
    rejected: list[Rejection] = []
    for number, each in enumerate(annotations):
        ballot, voter = ballots[each.photograph], each.annotator or number
        if voter not in ballot or each.updated >= ballot[voter].updated:
            ballot[voter] = each
    labelled, conflicting = [], 0
    for ballot in ballots.values():
        votes = []
        for each in ballot.values():
            strange = [] if labels is None else [n for n in each.labels if n not in labels]
            unknown.update(strange)
            if strange:
                offer = nearest(strange[0], labels)
                detail = f"'{strange[0]}' is none of the labels{offer}"
                rejected.append(_rejection(each, Reason.UNKNOWN_LABEL, detail))
            else:
                votes.append(each)
        if not votes:
            continue
        conflicting += len({vote.labels for vote in votes}) > 1
        if found := _majority([vote.labels for vote in votes], several):
            labelled.append(Labelled(votes[0].image, votes[0].image_id, found, votes[0].key))
        else:
            said = sorted(f"{vote.annotator or '?'}: {' '.join(vote.labels)}" for vote in votes)
            rejected.append(_rejection(votes[0], Reason.CONFLICTING_LABELS, ", ".join(said)))
    return Agreement(labelled, conflicting, dict(unknown), rejected)


def write_labels(
    path: Path,
    labelled: Sequence[Labelled],
    by: Literal["image", "image_id", "key"],
    separator: str | None = None,
) -> int:
    """Writes a labels table: a CSV with a column that names the photograph, and `label`.

    Args:
        path: The CSV to write.
        labelled: The photographs.
        by: How the table names photographs: `image` as ingest reads it, `image_id` or `key` to be
            joined with predictions. Those of which that is not known are left out.
        separator: What stands between labels, where photographs have several, such as
            `ingest.label_separator`.

    Returns:
        How many were written.

    Raises:
        SettingsError: A photograph has several labels and there is no separator, or it is part of
            a label.
        OSError: It cannot be written.
    """
    for name in {name for each in labelled for name in each.labels}:
        if separator is not None and separator in name:
            raise SettingsError(f"the label '{name}' holds the separator {separator!r}")
    if separator is None and any(len(each.labels) > 1 for each in labelled):
        raise SettingsError("photographs have several labels: state the separator of the table")
    rows = [(getattr(each, by), (separator or "").join(each.labels)) for each in labelled]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((by, "label"))
    writer.writerows(named := [row for row in rows if row[0]])
    write_text(path, text.getvalue())
    return len(named)


def _majority(votes: Sequence[tuple[str, ...]], several: bool) -> tuple[str, ...]:
    """The labels of more than half of the votes; none without a majority, or of two for one."""
    if several:
        counts = Counter(label for vote in votes for label in vote)
        return tuple(sorted(name for name, count in counts.items() if 2 * count > len(votes)))
    vote, count = Counter(votes).most_common(1)[0]
    return vote if 2 * count > len(votes) and len(vote) == 1 else ()


def _rejection(of: Annotation, reason: Reason, detail: str) -> Rejection:
    row = {"image": of.image, "image_id": of.image_id, "annotator": of.annotator}
    return Rejection(row, reason, detail)
