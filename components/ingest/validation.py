"""Whether the photographs are as expected, by a previous run or by a stated schema."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.ingest.settings import ExpectationSettings
from darkroom.artifacts.examples import SPLITS
from darkroom.artifacts.statistics import Statistics, read_statistics
from darkroom.errors import SettingsError, StepError

NAMED = 5
"""Labels named in a message; the card has them all."""

_log = logging.getLogger("darkroom.ingest")


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that is not as expected.

    Attributes:
        code: Such as `new_label`; public API, since people set severities by it.
        severity: `warning` or `error`.
        message: One line for people.
    """

    code: str
    severity: str
    message: str


def read_previous(settings: ExpectationSettings) -> Statistics | None:
    """Reads the previous run's statistics, if expectations name one.

    Raises:
        SettingsError: There is none at that path.
    """
    if settings.previous is None:
        return None
    try:
        return read_statistics(Path(settings.previous))
    except StepError as error:
        raise SettingsError(f"ingest.expectations.previous: {error}") from None


def find(
    statistics: Statistics,
    labels: Sequence[str],
    settings: ExpectationSettings,
    previous: Statistics | None = None,
) -> list[Finding]:
    """Compares the photographs with what is expected of them.

    Args:
        statistics: Those of the photographs.
        labels: The labels there may be, with photographs or without.
        settings: What is expected.
        previous: An earlier run's statistics.

    Returns:
        What is not as expected and not `off`, errors first, at most one finding a code.
    """
    counts = Counter(dict.fromkeys(labels, 0))
    counts.update(statistics.label_counts)
    problems = [
        *_label_problems(counts, settings, previous),
        *_balance_problems(counts, statistics, settings),
    ]
    if previous is not None:
        problems += _moved_shares(statistics, previous, settings)
        problems += _moved_distributions(statistics, previous, settings)
    severities = settings.severity.model_dump()
    findings = [Finding(code, severities[code], message) for code, message in problems]
    kept = [finding for finding in findings if finding.severity != "off"]
    return sorted(kept, key=lambda finding: finding.severity != "error")


def settle_findings(findings: Sequence[Finding], card: Path) -> None:
    """Logs the warnings, and ends the step if a finding is an error.

    Args:
        findings: What is not as expected.
        card: Where a person sees more.

    Raises:
        StepError: One line that names every error and the ways out.
    """
    for finding in findings:
        if finding.severity == "warning":
            _log.warning("%s: %s", finding.code, finding.message)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        listed = "; ".join(f"{error.code}: {error.message}" for error in errors)
        settings = ", ".join(f"ingest.expectations.severity.{error.code}" for error in errors)
        raise StepError(
            f"the photographs are not as expected: {listed}. See {card}; "
            f"mend the data, or set {settings} to warning"
        )


Problem = tuple[str, str]
"""A code and its message."""


def _label_problems(
    counts: Counter[str], settings: ExpectationSettings, previous: Statistics | None
) -> Iterator[Problem]:
    if settings.labels is not None:
        expected = set(settings.labels)
    elif previous is not None:
        expected = set(+previous.label_counts)
    else:
        return
    present = set(+counts)
    if new := sorted(present - expected):
        yield "new_label", _listed(new, counts)
    if vanished := sorted(expected - present):
        yield "vanished_label", f"no photograph of {_listed(vanished)}"


def _balance_problems(
    counts: Counter[str], statistics: Statistics, settings: ExpectationSettings
) -> Iterator[Problem]:
    least = settings.minimum_per_label
    if few := sorted(label for label, count in counts.items() if count < least):
        yield "too_few_photographs", f"fewer than {least:,} of {_listed(few, counts)}"
    for_split = {
        split: sorted(set(+counts) - set(statistics.counts.get(split, ()))) for split in SPLITS
    }
    missing = [f"no {_listed(names)} in {split}" for split, names in for_split.items() if names]
    if missing:
        yield "missing_from_split", ", ".join(missing)
    in_test = Counter(statistics.counts.get("test", {}))
    least = settings.minimum_per_label_in_test
    if few := sorted(label for label in +counts if 0 < in_test[label] < least):
        yield (
            "too_few_in_test",
            f"fewer than {least:,} of {_listed(few, in_test)}: one mistake moves their recall much",
        )
    (largest, most), (smallest, fewest) = _extremes(+counts)
    if most > settings.maximum_imbalance * fewest:
        yield (
            "imbalance",
            f"{most:,} photographs of {_quoted(largest)}, {fewest:,} of {_quoted(smallest)}: "
            f"{most / fewest:.1f} times as many, over {settings.maximum_imbalance:g}",
        )


def _extremes(counts: Counter[str]) -> tuple[tuple[str, int], tuple[str, int]]:
    """The labels of most and of fewest photographs, with their counts."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ordered[0], ordered[-1]


def _moved_shares(
    statistics: Statistics, previous: Statistics, settings: ExpectationSettings
) -> Iterator[Problem]:
    before, now = previous.label_counts, statistics.label_counts
    moves = {
        label: now[label] / now.total() - before[label] / before.total()
        for label in sorted(now.keys() | before.keys())
    }
    label = max(moves, key=lambda name: abs(moves[name]))
    if abs(moves[label]) > settings.maximum_share_change:
        yield (
            "label_share_moved",
            f"{_quoted(label)} went from {before[label] / before.total():.1%} to "
            f"{now[label] / now.total():.1%} of the photographs, over "
            f"{settings.maximum_share_change:.1%} either way",
        )


def _moved_distributions(
    statistics: Statistics, previous: Statistics, settings: ExpectationSettings
) -> Iterator[Problem]:
    for name, limit in settings.maximum_divergence.model_dump().items():
        divergence = jensen_shannon(
            previous.overall.histograms[name], statistics.overall.histograms[name]
        )
        if divergence > limit:
            yield f"{name}_moved", f"the {name} moved by {divergence:.3f}, over {limit:g}"


def jensen_shannon(first: Sequence[int], second: Sequence[int]) -> float:
    """Jensen-Shannon divergence of two histograms with the same bins.

    Args:
        first: Count by bin, at least one above 0.
        second: Likewise.

    Returns:
        To base 2: 0 where the distributions are equal, 1 where they share no bin.
    """
    import numpy as np
    from scipy.special import rel_entr

    p, q = (np.asarray(histogram) / sum(histogram) for histogram in (first, second))
    middle = (p + q) / 2
    nats = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    # Rounding may lead a hair out of the range.
    return float(np.clip(nats / np.log(2), 0, 1))


def _listed(labels: Sequence[str], counts: Counter[str] | None = None) -> str:
    named = [
        _quoted(label) + (f" ({counts[label]:,})" if counts is not None else "")
        for label in labels[:NAMED]
    ]
    more = [f"{len(labels) - NAMED:,} more"] if len(labels) > NAMED else []
    return ", ".join(named + more)


def _quoted(label: str) -> str:
    # A line break in a label must not break the one line.
    return f"'{' '.join(label.split())}'"
