"""The ingest step: photographs to split TFRecord examples, every row accounted for."""

import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.ingest.settings import IngestSettings
from components.ingest.sources.source import Table, read_source
from darkroom.artifacts import examples as examples_format
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.artifacts.rejected import COPY_REASONS, Reason, Rejection, write_rejections
from darkroom.beam.remote import with_staging_location
from darkroom.errors import SettingsError, StepError
from darkroom.settings import nearest
from darkroom.storage.atomic import write_json

if TYPE_CHECKING:
    from components.ingest.card.card import Contents
    from components.ingest.shards.build_examples import BuiltExamples
    from components.ingest.shards.chunk import Entry
    from components.ingest.shards.index import Index
    from darkroom.artifacts.statistics import Statistics

_log = logging.getLogger("darkroom.ingest")


def ingest(
    data: str, settings: IngestSettings, *, examples: Path, rejected: Path, statistics: Path
) -> dict[str, Any]:
    """Turns labelled photographs into split TFRecord examples.

    Args:
        data: A folder of label folders, a CSV `image,label[,more]`, or `sklearn:digits`.
        settings: How to split, and what to refuse.
        examples: Output: TFRecord shards of train, valid and test, with the pinned label list.
        rejected: Output: one JSON line a refused row; written even when the step fails.
        statistics: Output: counts and distributions, and the data card that shows them.

    Returns:
        Counts of examples by split, and of rejected rows by reason.

    Raises:
        SettingsError: `data` does not exist, `group_by` names no column, or the workers that
            `beam_options` ask for do not reach the step's files.
        StepError: No usable image, one single label, an empty split, too many rejected rows, or
            a finding whose severity is `error`.
    """
    from components.ingest.card.card import PAGE, Contents
    from components.ingest.shards.build_examples import build_examples, examples_manifest, labels_of
    from components.ingest.validation import find, read_previous, settle_findings

    beam_options = with_staging_location(examples, settings.beam_options)
    settings = settings.model_copy(update={"beam_options": beam_options})
    expected = read_previous(settings.expectations)
    with atomic_artifact(examples) as temporary:
        # Within the folder being written, since every worker can open files there.
        with tempfile.TemporaryDirectory(dir=temporary) as digits_folder:
            table = read_source(data, Path(digits_folder), settings)
            _check_columns(table, settings)
            _log.info("%s rows in %s", f"{len(table.rows) + len(table.rejections):,}", data)
            if table.side_files:
                kinds = Counter(Path(name).suffix.lower() for name in table.side_files)
                _log.info("left out, no photographs by their names: %s", _listed(kinds))
            assembled = build_examples(table.rows, _previous(settings), settings, temporary)
        rejections = [*table.rejections, *assembled.rejections]
        total = _statistics(assembled, settings)
        counts = {split: total.photographs[split] for split in examples_format.SPLITS}
        reasons = Counter(rejection.reason for rejection in rejections)
        _write_rejected(rejected, rejections, reasons, table.side_files)
        _log.info("%s photographs read", f"{assembled.read:,}")
        _log.info("examples: %s", ", ".join(f"{split} {n:,}" for split, n in counts.items()))
        _log.info("rejected: %s", _listed(reasons))
        labels = labels_of(assembled.entries, settings)
        _check_outcome(counts, len(assembled.entries), labels, reasons, settings, rejected)
        findings = find(total, labels, settings.expectations, expected)
        facts = {"data": data, "columns": table.columns, **settings.model_dump(mode="json")}
        card = Contents(
            labels, total, expected, findings, assembled.entries, rejections, temporary, facts
        )
        _write_statistics(statistics, card)
        settle_findings(findings, statistics / PAGE)
        write_manifest(
            temporary,
            examples_format.KIND,
            examples_manifest(
                temporary, data, table.columns, assembled.entries, rejections, settings
            ),
        )
    return {"counts": counts, "rejected": dict(reasons)}


def _check_columns(table: Table, settings: IngestSettings) -> None:
    if settings.group_by is not None and settings.group_by not in table.columns:
        offer = nearest(settings.group_by, table.columns) if table.columns else ""
        raise SettingsError(f"ingest.group_by: no column '{settings.group_by}' in the data{offer}")
    if settings.mask_column is not None and not any(row.mask for row in table.rows):
        offer = nearest(settings.mask_column, table.columns) if table.columns else ""
        raise SettingsError(
            f"ingest.tiles.mask_column: no row has a '{settings.mask_column}'{offer}"
        )


def _previous(settings: IngestSettings) -> "Index":
    """What an earlier run left that this one can build on."""
    from components.ingest.shards.index import NOTHING, read_index

    if settings.previous is None:
        return NOTHING
    index = read_index(Path(settings.previous), settings)
    if index is None:
        _log.info(
            "the settings differ from those of %s: everything is read again", settings.previous
        )
    return index or NOTHING


def _statistics(assembled: "BuiltExamples", settings: IngestSettings) -> "Statistics":
    from components.ingest.images.tiles import tiles_by_label
    from darkroom.artifacts.statistics import Statistics

    total = Statistics()
    alike: dict[tuple[str, tuple[str, ...]], list[Entry]] = defaultdict(list)
    for entry in assembled.entries:
        if entry.tile_values:
            tiles = tiles_by_label(entry.tile_values, settings.labels or ())
            total.add_all([entry], entry.split, tiles, entry.examples)
        else:
            alike[entry.split, tuple(entry.labels) or (entry.label,)].append(entry)
    for (split, labels), entries in alike.items():
        examples = sum(entry.examples for entry in entries)
        total.add_all(entries, split, dict.fromkeys(labels, examples), examples)
    total.merged_labels = sum(bool(entry.merged_labels) for entry in assembled.entries)
    return total


def _check_outcome(
    counts: dict[str, int],
    kept: int,
    labels: Sequence[str],
    reasons: Counter[str],
    settings: IngestSettings,
    rejected: Path,
) -> None:
    # A copy is no fault of the data's: however many there are, the run continues.
    refused = sum(number for reason, number in reasons.items() if reason not in COPY_REASONS)
    if not kept:
        hint = (
            " (put photographs in a folder for each label, or give a table of image and label)"
            if set(reasons) == {Reason.NO_LABEL}
            else ""
        )
        raise StepError(
            f"no usable image: all {refused:,} rows were rejected{hint}; see {rejected}"
        )
    share = refused / (kept + refused)
    if share > settings.max_rejected:
        raise StepError(
            f"{refused:,} of {kept + refused:,} rows rejected ({share:.1%}, more than "
            f"ingest.max_rejected {settings.max_rejected:.1%}): {_listed(reasons)}; see {rejected}"
        )
    if len(labels) < 2:
        raise StepError(f"one single label, '{labels[0]}': a classifier needs at least two")
    empty = [split for split, n in counts.items() if not n and getattr(settings.split, split)]
    if empty:
        raise StepError(
            f"no photograph fell into the {empty[0]} split ({kept:,} in all): "
            "add photographs or change ingest.split"
        )


def _listed(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common()) or "none"


def _write_rejected(
    folder: Path, rejections: list[Rejection], reasons: Counter[str], side_files: Sequence[str]
) -> None:
    content: dict[str, Any] = {"count": len(rejections), "reasons": dict(reasons)}
    with atomic_artifact(folder) as temporary:
        write_rejections(temporary, rejections)
        if side_files:
            write_json(temporary / "side_files.json", side_files)
            content["side_files"] = len(side_files)
        write_manifest(temporary, "rejected", content)


def _write_statistics(folder: Path, card: "Contents") -> None:
    from components.ingest.card.card import write_card
    from darkroom.artifacts.statistics import write_statistics

    with atomic_artifact(folder) as temporary:
        write_card(temporary, card)
        write_statistics(temporary, card.statistics, [vars(finding) for finding in card.findings])
