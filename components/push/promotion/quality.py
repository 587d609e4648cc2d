"""A canary's measured quality: the server's samples, joined with labels that came later."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from components.push.promotion.check import CanaryLimits, Check, Finding, held_to
from darkroom.anytime import Interval, always_valid, rate_difference
from darkroom.artifacts.samples import FILE, samples_folder
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files

_LABEL = "label"
_IDS = ("image_id", "key")


class Labels(NamedTuple):
    """A table of labels.

    Attributes:
        column: What photographs go by: `image_id` or `key`.
        label_of: The label by photograph.
    """

    column: str
    label_of: Mapping[str, str]


def read_labels(location: str) -> Labels:
    """Reads a table of labels.

    Args:
        location: Path or URI of a CSV or JSON Lines file with `label`, and `image_id` (SHA-256 of
            the photograph's bytes, as the samples have it) or the request's `key`. Rows without a
            label are of photographs that nobody has looked at yet.

    Raises:
        SettingsError: It has no such columns, or cannot be read.
    """
    with files.clear_errors(f"cannot read {location}", SettingsError):
        rows = list(_rows(location, files.read_bytes(location).decode("utf-8-sig")))
    columns = {name for row in rows for name in row}
    column = next((name for name in _IDS if name in columns), None)
    if column is None or _LABEL not in columns:
        found = ", ".join(sorted(map(str, columns))) or "none"
        raise SettingsError(
            f"{location} needs the columns label, and image_id or key; it has {found}"
        )
    return Labels(
        column,
        {str(row[column]): str(row[_LABEL]) for row in rows if row.get(column) and row.get(_LABEL)},
    )


def _rows(location: str, text: str) -> Iterator[Mapping[str, Any]]:
    if location.endswith((".jsonl", ".json")):
        for number, line in enumerate(filter(str.strip, text.splitlines()), 1):
            row = json.loads(line)
            if not isinstance(row, dict):
                raise SettingsError(f"{location}: line {number} is no JSON object")
            yield row
    else:
        yield from csv.DictReader(io.StringIO(text))


def answers_to_labelled(
    samples: str, model: str, labels: Labels, versions: tuple[int, int]
) -> tuple[dict[str, str], dict[str, str]]:
    """The labels that two versions gave to labelled photographs, each by photograph.

    Args:
        samples: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
        labels: The labels.
        versions: The numbers of both versions.

    Raises:
        SettingsError: There are no samples.
        StepError: They cannot be read, or are of a model that gives several labels.
    """
    found: dict[int, dict[str, str]] = {number: {} for number in versions}
    for sample in _samples(samples_folder(samples, model)):
        number, name = sample.get("version"), str(sample.get(labels.column))
        if number not in found or sample.get("model") != model or name not in labels.label_of:
            continue
        if "labels" in sample or _LABEL not in sample:
            raise StepError(
                f"the samples in {samples} are of a model that gives several labels, or none: the "
                "quality of one label is measured; leave out --samples and --labels"
            )
        found[number][name] = sample[_LABEL]
    return found[versions[0]], found[versions[1]]


def _samples(folder: str) -> Iterator[dict[str, Any]]:
    with files.clear_errors(f"cannot read the samples in {folder}", SettingsError):
        found = files.list_files(f"{folder}/{FILE}*")
    if not found:
        raise SettingsError(f"no {folder}/{FILE}: is --samples the server's sample.folder?")
    for file in found:
        try:
            with files.opened(file.location.removeprefix("file://")) as lines:
                yield from _parsed(lines)
        except FileNotFoundError:
            continue  # it was the oldest, and the server has begun another
        except OSError as error:
            raise StepError(f"cannot read {file.location}: {error}") from None


def _parsed(lines: Any) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            sample = json.loads(line)
        except ValueError:
            continue  # the server is writing it
        if isinstance(sample, dict):
            yield sample


def check_quality(
    canary: Mapping[str, str],
    stable: Mapping[str, str],
    label_of: Mapping[str, str],
    limits: CanaryLimits,
) -> Check:
    """Whether the canary's labels are right as often as those of the version that serves.

    Where both have answered most of the canary's photographs, as with shadow traffic, the same
    photographs are compared, which takes far fewer of them.

    Args:
        canary: The canary's labels by photograph.
        stable: Those of the version that serves.
        label_of: The true labels.
        limits: How much worse the canary may be.
    """
    both = canary.keys() & stable.keys()
    if both and 2 * len(both) >= len(canary):
        new, old = (
            {name for name in both if given[name] == label_of[name]} for given in (canary, stable)
        )
        gain = always_valid(len(new - old), len(old - new), len(both)).interval
        figures = (
            f"{len(new)} of {len(both)} photographs right, of the version that serves {len(old)} "
            "of the same"
        )
        return held_to("quality", figures, Interval(-gain.high, -gain.low), limits.accuracy_loss)
    wrong, others = (
        sum(given != label_of[name] for name, given in answers.items())
        for answers in (canary, stable)
    )
    figures = (
        f"{len(canary) - wrong} of {len(canary)} photographs right, "
        f"of the version that serves {len(stable) - others} of {len(stable)}"
    )
    if not canary or not stable:
        return Check("quality", Finding.UNDECIDED, f"{figures}; labels of both are needed")
    worse_by = rate_difference(wrong, len(canary), others, len(stable))
    return held_to("quality", figures, worse_by, limits.accuracy_loss)
