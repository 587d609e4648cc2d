"""Detectors of drift: Darkroom's, the usual tests, and river's ADWIN, on the same windows."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency, ks_2samp
from threadpoolctl import threadpool_limits

from components.monitor.drift.domain import fit_direction, ranks_along
from components.monitor.drift.ranks import highest_mean_rank, ranks
from components.monitor.drift.shares import cut_points, histogram, shares_below, shares_of
from components.monitor.sequential.alarms import alarmed, range_error, shares
from components.monitor.sequential.changed_share import Counted, changed_share
from components.monitor.sequential.evidence import Evidence, add_window

ACCURACY, EMBEDDING = "accuracy", "embedding"


class Photographs(NamedTuple):
    """Photographs of a window or of the reference.

    Attributes:
        given: Number of the label that each was given, [N].
        labels: How many labels there are.
        measures: Values by name, [N] each.
        right: Whether each answer is right, bool [N]; None where labels are not known.
        embedding: [N, D].
    """

    given: npt.NDArray[np.int64]
    labels: int
    measures: Mapping[str, npt.NDArray[np.float64]]
    right: npt.NDArray[np.bool_] | None
    embedding: npt.NDArray[np.float64]

    def counts(self) -> list[int]:
        """Photographs by given label."""
        found: list[int] = np.bincount(self.given, minlength=self.labels).tolist()
        return found


Detector = Callable[[Photographs, Sequence[Photographs]], Iterator[list[str]]]
"""The tests that alarm in each window, from a reference and windows."""


def _counted(seen: Photographs, cuts: Mapping[str, list[float]]) -> dict[str, Counted]:
    names = [str(number) for number in range(seen.labels)]
    found = shares_of("label", dict(zip(names, seen.counts(), strict=True)), names)
    for name, values in seen.measures.items():
        found |= shares_below(name, histogram(name, values), cuts[name])
    if seen.right is not None:
        found[ACCURACY] = Counted(int(seen.right.sum()), len(seen.right))
    return found


def darkroom(reference: Photographs, windows: Sequence[Photographs]) -> Iterator[list[str]]:
    """Darkroom's tests, at 1 % over the life."""
    cuts = {
        name: cut_points(name, histogram(name, values))
        for name, values in reference.measures.items()
    }
    known = _counted(reference, cuts)
    families: dict[str, list[str]] = {EMBEDDING: [EMBEDDING]}
    for test in known:
        families.setdefault(test.partition("=")[0].partition("<")[0], []).append(test)
    of_rate = shares(families)
    fitted, held_out = np.split(reference.embedding, 2)
    counted: list[dict[str, Counted]] = []
    evidence, direction = Evidence(), None
    for look, window in enumerate(windows, 1):
        counted.append(_counted(window, cuts))
        changes = {test: changed_share(known[test], [c[test] for c in counted]) for test in known}
        e_values = {test: found.e_value for test, found in changes.items() if found is not None}
        if direction is not None:
            allowed = highest_mean_rank(len(held_out), range_error(of_rate[EMBEDDING], look))
            in_rank = ranks_along(direction, window.embedding, held_out)
            evidence = add_window(evidence, in_rank, allowed)
        direction = fit_direction(window.embedding, fitted)
        yield alarmed({**e_values, EMBEDDING: evidence.e_value}, of_rate)


def _p_values(reference: Photographs, window: Photographs) -> list[float]:
    found = [
        ks_2samp(values, reference.measures[name]).pvalue
        for name, values in window.measures.items()
    ]
    tables: list[Any] = [[window.counts(), reference.counts()]]
    if window.right is not None and reference.right is not None:
        tables.append([[each.sum(), (~each).sum()] for each in (window.right, reference.right)])
    return found + [chi2_contingency(np.array(table)).pvalue for table in tables]


def usual(reference: Photographs, windows: Sequence[Photographs]) -> Iterator[list[str]]:
    """SciPy's tests of each window alone, at 5 %."""
    for window in windows:
        yield ["any"] if min(_p_values(reference, window)) < 0.05 else []


def bonferroni(reference: Photographs, windows: Sequence[Photographs]) -> Iterator[list[str]]:
    """SciPy's tests of each window alone, at 1 % over all tests of as many windows as there are."""
    for window in windows:
        found = _p_values(reference, window)
        yield ["any"] if min(found) < 0.01 / len(found) / len(windows) else []


def adwin(lives: Sequence[tuple[Photographs, Sequence[Photographs]]]) -> list[int | None] | None:
    """The first window in which river's ADWIN alarms, of each life; None without uv or river."""
    uv = shutil.which("uv") or shutil.which(str(Path("build/uv/bin/uv").resolve()))
    if uv is None:
        return None
    script = Path(__file__).parent / "peers" / "adwin.py"
    with tempfile.TemporaryDirectory() as folder:
        for number, (reference, windows) in enumerate(lives):
            of_all = [_streams(each, reference) for each in (reference, *windows)]
            np.savez(Path(folder) / f"{number:04}.npz", *of_all)
        command = [uv, "run", "--no-project", "--script", str(script), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: list[int | None] = json.loads(done.stdout)
    return found


def _streams(seen: Photographs, reference: Photographs) -> npt.NDArray[np.float64]:
    """What ADWIN reads, a column a detector: from 0 to 1, which its bound takes for granted."""
    columns: list[Any] = [np.eye(seen.labels)[seen.given]]
    for name, values in seen.measures.items():
        columns.append(ranks(values, reference.measures[name])[:, None])
    if seen.right is not None:
        columns.append(seen.right[:, None])
    return np.concatenate(columns, axis=1)


def first_alarm(
    detector: Detector, reference: Photographs, windows: Sequence[Photographs]
) -> int | None:
    """The first window in which a detector alarms, from 0; None if in none."""
    found = enumerate(detector(reference, windows))
    return next((window for window, alarms in found if alarms), None)


HEADER = """
| windows | detector | lives with a false alarm | changes found | median windows until the alarm |
|---|---|---|---|---|
""".strip()


def rows(
    name: str,
    lives: Sequence[tuple[Photographs, Sequence[Photographs]]],
    changed_at: int | None,
) -> Iterator[str]:
    """The table's rows, a detector each.

    Args:
        name: Of what happens in these lives.
        lives: A reference and its windows each.
        changed_at: The window from which on it does; None where nothing changes.
    """
    detectors = {
        "Darkroom, 1 % over the life": darkroom,
        "SciPy's tests, 5 % each": usual,
        "SciPy's tests, 1 % over all windows (Bonferroni)": bonferroni,
    }
    with threadpool_limits(1):
        for detector, alarms in detectors.items():
            firsts = [first_alarm(alarms, *each) for each in lives]
            yield f"| {name} | {detector} | {_figures(firsts, changed_at)} |"
    if (of_adwin := adwin(lives)) is not None:
        yield f"| {name} | ADWIN (river), its defaults | {_figures(of_adwin, changed_at)} |"


def _figures(firsts: Sequence[int | None], changed_at: int | None) -> str:
    """False alarms are those before a change, or of a life without one."""
    if changed_at is None:
        return f"{np.mean([first is not None for first in firsts]):.3f} | | "
    false = [first is not None and first < changed_at for first in firsts]
    waits = sorted(
        np.inf if first is None else first - changed_at + 1
        for first, early in zip(firsts, false, strict=True)
        if not early
    )
    found = f"{np.mean(false):.3f} | {np.isfinite(waits).sum()} of {len(waits)} | "
    middle = waits[len(waits) // 2] if waits else np.inf
    return found + (f"{middle:.0f}" if np.isfinite(middle) else "-")
