"""The ingest step: photographs to split TFRecord examples, every row accounted for."""

import itertools
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.ingest.settings import IngestSettings
from darkroom.artifacts import examples as examples_format
from darkroom.artifacts.data_root import RECORDS, records_folder
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.artifacts.rejected import (
    NO_FAULT,
    REJECTED_FILE,
    Reason,
    Rejection,
    read_rejections,
    write_rejections,
)
from darkroom.beam.remote import with_staging_location
from darkroom.errors import StepError

if TYPE_CHECKING:
    from components.ingest.card.card import Contents
    from components.ingest.card.pictures import Pictures
    from components.ingest.shards.index import Index
    from components.ingest.shards.listing import Source
    from components.ingest.shards.summary import Summary

_log = logging.getLogger("darkroom.ingest")

SIDE_FILES = "side_files.jsonl"
"""Beside the refused rows: files in the label folders that are no photographs by their names."""


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
    from components.ingest.card.pictures import card_pictures
    from components.ingest.card.samples import sample
    from components.ingest.shards.summary import examples_manifest
    from components.ingest.validation import find, read_previous, settle_findings

    beam_options = with_staging_location(examples, settings.beam_options, settings.data_root)
    settings = settings.model_copy(update={"beam_options": beam_options})
    expected = read_previous(settings.expectations)
    with (
        atomic_artifact(examples) as temporary,
        records_folder(settings.data_root, examples_format.KIND, temporary) as records,
        tempfile.TemporaryDirectory() as scratch,
    ):
        build = _on_runner if settings.beam_options else _in_this_process
        source, total, refused, pictures = build(data, settings, records, temporary, Path(scratch))
        total.reasons.update(source.reasons)
        _write_rejected(rejected, refused, total.reasons, source.side_files, Path(scratch))
        _log.info("%s photographs read", f"{total.read:,}")
        counts, labels = total.counts, total.label_list(settings)
        _log.info("examples: %s", ", ".join(f"{split} {n:,}" for split, n in counts.items()))
        if total.pseudo_labelled:
            _log.info("%s of train have labels that a model gave", f"{total.pseudo_labelled:,}")
        _log.info("rejected: %s", _listed(total.reasons))
        _check_outcome(total, labels, settings, rejected)
        findings = find(total.statistics, labels, settings.expectations, expected)
        samples = sample(read_rejections(rejected / REJECTED_FILE))
        card = Contents(
            labels,
            total.statistics,
            expected,
            findings,
            total.reasons,
            samples,
            pictures or card_pictures(records, labels, total.statistics, samples),
            {"data": data, "columns": source.columns, **settings.model_dump(mode="json")},
        )
        _write_statistics(statistics, card)
        settle_findings(findings, statistics / PAGE)
        manifest = examples_manifest(total, data, source.columns, settings)
        if settings.data_root is not None:
            manifest[RECORDS] = records
        write_manifest(temporary, examples_format.KIND, manifest)
    return {"counts": counts, "rejected": dict(total.reasons)}


def _in_this_process(
    data: str, settings: IngestSettings, records: str, folder: Path, scratch: Path
) -> tuple["Source", "Summary", Iterable[Rejection], "Pictures | None"]:
    """Builds the examples.

    Returns:
        What the source says, what the examples come to, refused rows, and the data card's
        pictures where they are made already.
    """
    from components.ingest.shards.build_examples import build_examples
    from components.ingest.shards.listing import side_file, source_of, write_side_files
    from components.ingest.sources.source import read_source

    (scratch / "source").mkdir()
    table = read_source(data, scratch / "source", settings)
    write_side_files(scratch / side_file("all"), table.side_files)
    source = source_of(table)
    _announce(data, source)
    # On the disk of the artifact, where shards that stay as they are only change their name.
    with tempfile.TemporaryDirectory(dir=folder) as work:
        built = build_examples(table.rows, _previous(settings), settings, records, Path(work))
    return source, built.summary, [*table.rejections, *built.rejections], None


def _on_runner(
    data: str, settings: IngestSettings, records: str, folder: Path, scratch: Path
) -> tuple["Source", "Summary", Iterable[Rejection], "Pictures | None"]:
    """The same by the workers of a Beam runner; refused rows are read as they are asked for."""
    from components.ingest.card.of_work import pictures_of_work
    from components.ingest.shards.listing import refused_file, refused_in_order
    from components.ingest.shards.runner import build_on_runner

    source, total, pictures = build_on_runner(
        data, _previous(settings), settings, records, folder, scratch, pictures_of_work
    )
    _announce(data, source)
    files = refused_in_order(map(str, scratch.glob(refused_file("*"))))
    refused = itertools.chain.from_iterable(map(read_rejections, map(Path, files)))
    return source, total, refused, pictures


def _announce(data: str, source: "Source") -> None:
    _log.info("%s rows in %s", f"{source.rows:,}", data)
    if source.side_files:
        _log.info("left out, no photographs by their names: %s", _listed(source.side_files))


def _previous(settings: IngestSettings) -> "Index":
    """What an earlier run left that this one can build on."""
    from components.ingest.shards.index import NOTHING, find_index

    if settings.previous is None:
        return NOTHING
    index = find_index(Path(settings.previous), settings)
    if index is None:
        _log.info(
            "the settings differ from those of %s: everything is read again", settings.previous
        )
    return index or NOTHING


def _check_outcome(
    total: "Summary", labels: Sequence[str], settings: IngestSettings, rejected: Path
) -> None:
    kept, reasons = total.photographs, total.reasons
    refused = sum(number for reason, number in reasons.items() if reason not in NO_FAULT)
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
    empty = [split for split, n in total.counts.items() if not n and getattr(settings.split, split)]
    if empty:
        raise StepError(
            f"no photograph fell into the {empty[0]} split ({kept:,} in all): "
            "add photographs or change ingest.split"
        )


def _listed(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common()) or "none"


def _write_rejected(
    folder: Path,
    rejections: Iterable[Rejection],
    reasons: Counter[str],
    side_files: Counter[str],
    scratch: Path,
) -> None:
    from components.ingest.shards.listing import side_file

    content: dict[str, Any] = {"count": reasons.total(), "reasons": dict(reasons)}
    with atomic_artifact(folder) as temporary:
        write_rejections(temporary / REJECTED_FILE, rejections)
        if side_files:
            with (temporary / SIDE_FILES).open("wb") as file:
                for part in sorted(scratch.glob(side_file("*"))):
                    with part.open("rb") as lines:
                        shutil.copyfileobj(lines, file)
            content["side_files"] = side_files.total()
        write_manifest(temporary, "rejected", content)


def _write_statistics(folder: Path, card: "Contents") -> None:
    from components.ingest.card.card import write_card
    from darkroom.artifacts.statistics import write_statistics

    with atomic_artifact(folder) as temporary:
        write_card(temporary, card)
        write_statistics(temporary, card.statistics, [vars(finding) for finding in card.findings])
