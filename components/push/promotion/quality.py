"""A canary's measured quality: the server's samples, joined with labels that came later."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

from components.push.promotion.check import CanaryLimits, Check, Finding, held_to
from darkroom.anytime import Interval, always_valid, rate_difference
from darkroom.artifacts.samples import read_samples, sample_files
from darkroom.errors import SettingsError, StepError
from darkroom.labels import IDENTITIES, BadRow, read_labels

_LABEL = "label"


class Labels(NamedTuple):
    """A table of labels.

    Attributes:
        column: What photographs go by: `image_id` or `key`.
        label_of: The label by photograph.
    """

    column: str
    label_of: Mapping[str, str]


def labels_by_photograph(location: str) -> Labels:
    """The labels of a table, by what most of its photographs go by.

    Args:
        location: See `darkroom.labels.read_labels`.

    Raises:
        SettingsError: It has no such columns, or a row or all of it cannot be read.
    """
    of: dict[str, dict[str, str]] = {name: {} for name in IDENTITIES}
    for row in read_labels(location):
        if isinstance(row, BadRow):
            raise SettingsError(f"{location}: row {row.number}: {row.reason}")
        of[row.by][row.name] = row.label
    column = max(IDENTITIES, key=lambda name: len(of[name]))
    return Labels(column, of[column])


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
    found_files = sample_files(samples, model)
    for sample in filter(None, itertools.chain.from_iterable(map(read_samples, found_files))):
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
