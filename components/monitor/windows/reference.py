"""What windows are held against: a version as it was evaluated, and its photographs."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from components.monitor.drift.answers import confidences, entropies
from components.monitor.drift.shares import cut_points, histogram
from components.monitor.reading.answer import MEASURES
from components.monitor.sequential.changed_share import Counted
from components.monitor.windows.embedded import FEWEST, Embedded
from darkroom.artifacts.model_repository import (
    Role,
    Version,
    find_versions,
    own_version,
    repository_of,
)
from darkroom.artifacts.predictions import SLICES, probability_array
from darkroom.artifacts.reference import VersionReference, read_version_reference
from darkroom.errors import DarkroomError, SettingsError, StepError

if TYPE_CHECKING:
    import pyarrow as pa

ANSWER_MEASURES = ("confidence", "entropy")
_ROLES = (Role.SERVED, Role.CANARY, Role.ROLLED_BACK, Role.SUPERSEDED)
"""Of versions that have answered, or may."""
_log = logging.getLogger("darkroom.monitor")


class Reference(NamedTuple):
    """What windows are held against.

    Attributes:
        labels: The model's labels, in the order of the probabilities.
        given: Photographs by the label that the model gave them.
        formats: Photographs by file format; empty if that is not known.
        histograms: Photographs by bin of each measure that is known, as `histogram` counts them.
        right: By slice, as JSON, how many of the test split are answered rightly; `{}` is all.
        valid: Of each photograph of the valid split its confidence, and whether it is right.
        embedded: The embeddings of some photographs; None without any.
    """

    labels: tuple[str, ...]
    given: Mapping[str, int]
    formats: Mapping[str, int]
    histograms: Mapping[str, Sequence[int]]
    right: Mapping[str, Counted]
    valid: Sequence[tuple[float, bool]] = ()
    embedded: Embedded | None = None

    def cuts(self, measure: str) -> list[float]:
        """Where a measure is cut; nowhere if the reference does not know it."""
        known = self.histograms.get(measure)
        return [] if known is None else cut_points(measure, known)

    @property
    def digest(self) -> str:
        """SHA-256 of all that windows are made by."""
        embeddings = None if self.embedded is None else self.embedded.digest
        content = [*self._replace(embedded=None), embeddings]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def slice_name(values: Mapping[str, Any]) -> str:
    """The name of a slice in the database.

    >>> slice_name({"label": "roses", "camera": 2})
    '{"camera": "2", "label": "roses"}'
    """
    return json.dumps(
        {name: str(values[name]) for name in sorted(values)}, ensure_ascii=False, sort_keys=True
    )


def version_references(
    destination: str, slicings: Sequence[tuple[str, ...]]
) -> dict[str, Reference]:
    """The references of all versions at a push destination, by number.

    Those that were rolled back, canaries and superseded ones have answered too. One that an older
    release pushed has none and is left out, as is one that is damaged, which is said.

    Args:
        destination: As `push.destination` has it, or the folder of one version.
        slicings: The columns to slice by at once.

    Raises:
        SettingsError: Its versions are in no folder or bucket.
        StepError: It cannot be listed.
    """
    found: dict[str, Reference] = {}
    for version in _versions(repository_of(destination)):
        try:
            stored = read_version_reference(version.location)
            if stored is not None:
                found.setdefault(str(version.number), _counted(stored, slicings))
        except DarkroomError as error:
            _log.warning("version %d is not tested: %s", version.number, error)
    return found


def _versions(repository: str) -> Iterator[Version]:
    itself = own_version(repository)
    if itself is not None:
        yield itself
        return
    for role in _ROLES:
        yield from find_versions(repository, role)


def read_reference(version_folder: str, slicings: Sequence[tuple[str, ...]]) -> Reference:
    """Reads the reference of a pushed version.

    Args:
        version_folder: Path or URI of the version's folder.
        slicings: The columns to slice by at once.

    Raises:
        SettingsError: The version gives several labels.
        StepError: It has no reference, or one that cannot be read.
    """
    stored = read_version_reference(version_folder)
    if stored is None:
        raise StepError(
            f"{version_folder} has no reference: an older release pushed it; push the model again"
        )
    return _counted(stored, slicings)


def _counted(stored: VersionReference, slicings: Sequence[tuple[str, ...]]) -> Reference:
    """Counts the answers of the valid and the test split, on neither of which it was fitted.

    How often they are right is of the test split alone, since it was chosen by the valid one.
    """
    import pyarrow.compute as pc

    if stored.multi_label:
        raise SettingsError(
            f"{stored.version} is of a model that gives several labels, which is not watched"
        )
    answers, overall = stored.answers, stored.statistics.overall
    probabilities = probability_array(answers)
    histograms = {
        "confidence": histogram("confidence", confidences(probabilities)).tolist(),
        "entropy": histogram("entropy", entropies(probabilities)).tolist(),
    }
    valid = answers.filter(pc.equal(answers["split"], "valid"))
    hits = pc.equal(valid["label"], valid["predicted_label"]).to_pylist()
    embeddings, embedded = stored.embeddings, None
    if embeddings is not None and embeddings.count >= 2 * FEWEST:
        embedded = Embedded(stored.version, embeddings.size, embeddings.digest)
    return Reference(
        labels=stored.labels,
        given=dict(Counter(answers["predicted_label"].to_pylist())),
        formats=dict(overall.formats),
        histograms=histograms | {name: list(overall.histograms[name]) for name in MEASURES},
        right=_right(answers.filter(pc.equal(answers["split"], "test")), slicings),
        valid=list(zip(confidences(probability_array(valid)).tolist(), hits, strict=True)),
        embedded=embedded,
    )


def _right(answers: "pa.Table", slicings: Sequence[tuple[str, ...]]) -> dict[str, Counted]:
    """By slice, how many photographs are answered rightly; slices of measures are not known."""
    import pyarrow.compute as pc

    columns = {"label": answers["label"].to_pylist()}
    if SLICES in answers.column_names:
        for field in answers.schema.field(SLICES).type:
            columns[field.name] = pc.struct_field(answers[SLICES], field.name).to_pylist()
    hits = pc.equal(answers["label"], answers["predicted_label"]).to_pylist()
    found = {}
    for names in ((), *slicings):
        if set(names) & {*MEASURES} or not columns.keys() >= set(names):
            continue
        values = list(zip(*(columns[name] for name in names), strict=True)) or [()] * len(hits)
        totals = Counter(values)
        right = Counter(each for each, hit in zip(values, hits, strict=True) if hit)
        for each, total in totals.items():
            if None not in each:
                name = slice_name(dict(zip(names, each, strict=True)))
                found[name] = Counted(right[each], total)
    return found
