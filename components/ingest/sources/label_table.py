"""The metadata table `image,label` of a folder of photographs, with the votes of its raters."""

import csv
import dataclasses
import enum
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from components.ingest.settings import IngestSettings
from components.ingest.sources.rows import Row
from components.ingest.sources.source import read_folder, read_tables
from darkroom.artifacts.rejected import Reason
from darkroom.errors import SettingsError, StepError
from darkroom.settings import nearest
from darkroom.storage.atomic import atomic_file, os_reason
from darkroom.storage.paths import is_uri


class Disagreement(enum.StrEnum):
    """What becomes of a photograph on which the raters disagree."""

    DISCARD = "discard"
    """It is left out."""
    NEUTRAL = "neutral"
    """It gets the neutral label."""
    RATER = "rater"
    """It gets the further rater's label; without one it is left out."""


class Outcome(enum.StrEnum):
    """How a photograph came by its label, or why it has none."""

    AGREED = "agreed"
    NEUTRAL = "neutral"
    FURTHER_RATER = "further rater"
    DISCARDED = "discarded"
    UNRATED = "unrated"


@dataclasses.dataclass(frozen=True)
class Policy:
    """What to do on disagreement.

    Attributes:
        disagreement: Which way.
        neutral_label: The label to give, where the way is `neutral`.
        label_separator: What stands between the labels of one photograph; None where each has one.
    """

    disagreement: Disagreement = Disagreement.DISCARD
    neutral_label: str | None = None
    label_separator: str | None = None


def majority(votes: Sequence[str]) -> str | None:
    """The label of more than half of the votes; None if there is none.

    >>> majority(["rose", "tulip", "rose"])
    'rose'
    >>> majority(["rose", "tulip"]) is None
    True
    """
    if not votes:
        return None
    label, count = Counter(votes).most_common(1)[0]
    return label if 2 * count > len(votes) else None


def majority_by_label(votes: Sequence[str], separator: str) -> str | None:
    """The labels that more than half of the votes give, each decided for itself.

    >>> majority_by_label(["daisy rose", "rose daisy", "rose tulip"], " ")
    'daisy rose'
    """
    counts = Counter(label for vote in votes for label in set(vote.split(separator)) if label)
    agreed = sorted(label for label, count in counts.items() if 2 * count > len(votes))
    return separator.join(agreed) or None


def joined(
    votes: Sequence[str], policy: Policy, further_vote: str | None
) -> tuple[Outcome, str | None]:
    """The label that the raters' votes give a photograph.

    Args:
        votes: A label from each rater who gave one.
        policy: What to do on disagreement.
        further_vote: The further rater's label, heard on disagreement only.

    Returns:
        How it was decided, and the label; None where the photograph is left out.
    """
    if not votes:
        return Outcome.UNRATED, None
    separator = policy.label_separator
    label = majority_by_label(votes, separator) if separator else majority(votes)
    if label is not None:
        return Outcome.AGREED, label
    if policy.disagreement is Disagreement.NEUTRAL:
        return Outcome.NEUTRAL, policy.neutral_label
    if policy.disagreement is Disagreement.RATER and further_vote is not None:
        return Outcome.FURTHER_RATER, further_vote
    return Outcome.DISCARDED, None


def write_labels(
    folder: str,
    output: Path,
    raters: Sequence[Path] = (),
    disagreement: str = "discard",
    neutral_label: str | None = None,
    further_rater: Path | None = None,
    label_separator: str | None = None,
    corrections: Path | None = None,
) -> dict[str, int]:
    """Writes a CSV `image,label` of a folder's photographs, whole or not at all.

    Without raters, a photograph's label is the folder it is in. With raters it is their majority
    vote, whatever folder it is in. A rater's table names images relative to itself or to `folder`;
    a row with an empty label is no vote.

    Args:
        folder: The photographs: a local folder or a URI.
        output: The table to write; local images are named relative to it.
        raters: A table `image,label` from each rater.
        disagreement: What becomes of photographs without a majority: `discard`, `neutral` or
            `rater`.
        neutral_label: The label for those, where `neutral`.
        further_rater: The table of a further rater who decides those, where `rater`.
        label_separator: What stands between labels in a rater's cell, where photographs have
            several: each label is voted on for itself.
        corrections: A table `image,label` of photographs whose labels it decides, whatever the
            folder and the raters say, such as an evaluation's `suspects.csv` once corrected.

    Returns:
        Counts: `photographs`, `written`, `corrected`, what became of the others, and, under
        `absent`, rated images that are not in the folder.

    Raises:
        SettingsError: The folder or a table cannot be read, or the options do not fit together.
        StepError: No photograph has a label, a table does not parse, a rater contradicts
            themselves, or the output cannot be written.
    """
    policy = _checked_policy(raters, disagreement, neutral_label, further_rater)
    policy = dataclasses.replace(policy, label_separator=label_separator)
    if output.suffix.lower() != ".csv":
        raise SettingsError(f"output {output}: the table is a CSV, so its name must end in .csv")
    root = folder.rstrip("/") if is_uri(folder) else os.path.normpath(Path(folder).absolute())
    photographs = _photographs(folder)
    counts: Counter[str] = Counter(photographs=len(photographs))
    if raters:
        settings = IngestSettings(label_separator=label_separator)
        ballots = [_votes(table, root, photographs, counts, settings) for table in raters]
        further: dict[str, str] = {}
        if further_rater:
            further = _votes(further_rater, root, photographs, counts, settings)
        for name in photographs:
            votes = [ballot[name] for ballot in ballots if name in ballot]
            outcome, photographs[name] = joined(votes, policy, further.get(name))
            counts[outcome] += 1
    if corrections is not None:
        settings = IngestSettings(label_separator=label_separator)
        right = _votes(corrections, root, photographs, counts, settings)
        counts["corrected"] = sum(photographs[name] != label for name, label in right.items())
        photographs |= right
    labelled = {name: label for name, label in photographs.items() if label is not None}
    if not labelled:
        raise StepError(f"no photograph in {folder} has a label: expected label folders or raters")
    counts["written"] = len(labelled)
    if not raters:
        counts["unlabelled"] = len(photographs) - len(labelled)
    base = _base(root, output)
    _write(output, ((base + name, label) for name, label in labelled.items()))
    return dict(counts)


def _checked_policy(
    raters: Sequence[Path],
    disagreement: str,
    neutral_label: str | None,
    further_rater: Path | None,
) -> Policy:
    if disagreement not in tuple(Disagreement):
        offer = nearest(disagreement, tuple(Disagreement))
        raise SettingsError(f"disagreement '{disagreement}' is not known{offer}")
    way = Disagreement(disagreement)
    for option, value, needed_by in (
        ("neutral label", neutral_label, Disagreement.NEUTRAL),
        ("further rater", further_rater, Disagreement.RATER),
    ):
        if way is needed_by and not value:
            raise SettingsError(f"disagreement '{way}' needs a {option}")
        if value and way is not needed_by:
            raise SettingsError(f"a {option} is for disagreement '{needed_by}', which is not set")
    if way is not Disagreement.DISCARD and not raters:
        raise SettingsError(f"disagreement '{way}' needs raters")
    return Policy(way, neutral_label)


def _photographs(folder: str) -> dict[str, str | None]:
    """Label folder by path within the folder; None for a photograph beside the label folders."""
    table = read_folder(folder)
    found: dict[str, str | None] = {row.image: row.label for row in table.rows}
    for rejection in table.rejections:
        name = str(rejection.row["image"])
        if rejection.reason == Reason.UNREADABLE_FILE:
            raise StepError(f"{folder}/{name}: {rejection.detail}")
        found[name] = None
    return found


def _votes(
    table: Path,
    root: str,
    photographs: Container[str],
    counts: Counter[str],
    settings: IngestSettings,
) -> dict[str, str]:
    """A rater's label by path within the folder."""
    read = read_tables([str(table)], settings)
    for rejection in read.rejections:
        if rejection.reason not in (Reason.NO_LABEL, Reason.DUPLICATE_ROW):
            raise StepError(f"{table} line {rejection.row['line']}: {rejection.detail}")
    votes: dict[str, str] = {}
    for row in read.rows:
        name = next((n for n in _names(row, root) if n in photographs), None)
        if name is None:
            counts["absent"] += 1
        elif votes.setdefault(name, row.label) != row.label:
            raise StepError(
                f"{table} gives {row.image} two labels, '{votes[name]}' and '{row.label}'; keep one"
            )
    return votes


def _names(row: Row, root: str) -> Iterator[str]:
    """What an image of a rater's table may be called within the folder, likeliest first."""
    location = row.location
    if not is_uri(location):
        location = os.path.normpath(Path(location).absolute())
    if location.startswith(f"{root}/"):
        yield location[len(root) + 1 :]
    yield os.path.normpath(row.image)


def _base(root: str, output: Path) -> str:
    """What a table at `output` puts before the names of the folder's photographs."""
    if is_uri(root):
        return f"{root}/"
    # Resolved, since links on the way to the output would lead `..` astray.
    base = os.path.relpath(Path(root).resolve(), output.parent.resolve())
    return "" if base == "." else f"{base}/"


def _write(output: Path, rows: Iterable[tuple[str, str]]) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic_file(output) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("image", "label"))
            writer.writerows(rows)
    except OSError as error:
        raise StepError(f"cannot write {output}: {os_reason(error)}") from error
