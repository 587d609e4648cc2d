"""False alarms over a model's life, and windows until an alarm, on made windows.

Each life is a reference and 30 windows of a made world: five labels, brightness, confidence,
whether the answer is right, and an embedding. Darkroom's tests look at all of it, window by window;
so do the usual tests at 5 % (SciPy's), and river's ADWIN, which reads every photograph.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency, ks_2samp
from threadpoolctl import threadpool_limits

from components.monitor.drift.domain import fit_direction, ranks_along
from components.monitor.drift.ranks import highest_mean_rank
from components.monitor.drift.shares import cut_points, histogram, shares_below, shares_of
from components.monitor.sequential.alarms import alarmed, range_error, shares
from components.monitor.sequential.changed_share import Counted, changed_share
from components.monitor.sequential.evidence import Evidence, add_window

LIVES, CHANGED_LIVES = 200, 50
WINDOWS, SIZE, REFERENCE = 30, 500, 1000
CHANGED_AT = 10
"""The window, from 0, in which a change comes."""
LABELS = {"daisy": 0.2, "dandelion": 0.25, "roses": 0.2, "sunflowers": 0.2, "tulips": 0.15}
DIMENSIONS = 16
ACCURACY, EMBEDDING = "accuracy", "embedding"
MEASURES = ("brightness", "confidence")


class World(NamedTuple):
    """What may change."""

    roses: float = 0.2
    brightness: float = 1.0
    accuracy: float = 0.92
    embedding: float = 0.0


CHANGES = {
    "none": World(),
    "a label's share +10 points": World(roses=0.3),
    "brightness -30 %": World(brightness=0.7),
    "accuracy -5 points": World(accuracy=0.87),
    "the embedding's mean, 0.5 deviations": World(embedding=0.5),
}


class Photographs(NamedTuple):
    """Photographs of a window or of the reference, an array each of as many rows."""

    label: npt.NDArray[np.int64]
    brightness: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    right: npt.NDArray[np.bool_]
    embedding: npt.NDArray[np.float64]


def photographs(world: World, count: int, generator: np.random.Generator) -> Photographs:
    """Photographs of a world."""
    others = 1 - LABELS["roses"]
    chances = {
        label: world.roses if label == "roses" else share / others * (1 - world.roses)
        for label, share in LABELS.items()
    }
    label = generator.choice(len(LABELS), count, p=list(chances.values()))
    brightness = np.clip(generator.normal(120, 40, count), 0, 255) * world.brightness
    right = generator.random(count) < world.accuracy
    # Wrong answers are less sure, and say so less often than they should.
    confidence = np.where(right, generator.beta(8, 1.5, count), generator.beta(4, 2, count))
    embedding = generator.normal(size=(count, DIMENSIONS))
    embedding[:, 0] += world.embedding
    embedding[:, 1:6] += 2 * np.eye(len(LABELS))[label]
    return Photographs(label, brightness, confidence, right, embedding)


def life(world: World, seed: int) -> tuple[Photographs, list[Photographs]]:
    """A reference and its windows; the change comes in window `CHANGED_AT`."""
    generator = np.random.default_rng(seed)
    worlds = [World()] * CHANGED_AT + [world] * (WINDOWS - CHANGED_AT)
    reference = photographs(World(), REFERENCE, generator)
    return reference, [photographs(each, SIZE, generator) for each in worlds]


Detector = Callable[[Photographs, Sequence[Photographs]], Iterator[list[str]]]
"""The tests that alarm in each window, from a reference and windows."""


def _counted(seen: Photographs, cuts: dict[str, list[float]]) -> dict[str, Counted]:
    labels = dict(zip(LABELS, np.bincount(seen.label, minlength=5).tolist(), strict=True))
    found = shares_of("label", labels, list(LABELS))
    for name in MEASURES:
        found |= shares_below(name, histogram(name, getattr(seen, name)), cuts[name])
    return found | {ACCURACY: Counted(int(seen.right.sum()), len(seen.right))}


def darkroom(reference: Photographs, windows: Sequence[Photographs]) -> Iterator[list[str]]:
    """Darkroom's tests, at 1 % over the life."""
    cuts = {name: cut_points(name, histogram(name, getattr(reference, name))) for name in MEASURES}
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
        last = [each.embedding for each in windows[max(0, look - 2) : look]]
        direction = fit_direction(np.concatenate(last), fitted)
        yield alarmed({**e_values, EMBEDDING: evidence.e_value}, of_rate)


def _p_values(reference: Photographs, window: Photographs) -> list[float]:
    counts = [np.bincount(each.label, minlength=5) for each in (window, reference)]
    right = [[each.right.sum(), (~each.right).sum()] for each in (window, reference)]
    return [
        chi2_contingency(counts).pvalue,
        chi2_contingency(right).pvalue,
        *(ks_2samp(getattr(window, name), getattr(reference, name)).pvalue for name in MEASURES),
    ]


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
            of_all = [_streams(each) for each in (reference, *windows)]
            np.savez(Path(folder) / f"{number:04}.npz", *of_all)
        command = [uv, "run", "--no-project", "--script", str(script), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: list[int | None] = json.loads(done.stdout)
    return found


def _streams(seen: Photographs) -> npt.NDArray[np.float64]:
    """What ADWIN reads, a column a detector."""
    labels = np.eye(len(LABELS))[seen.label]
    others = np.stack([seen.brightness / 255, seen.confidence, seen.right], axis=1)
    return np.concatenate([labels, others], axis=1)


def first_alarm(
    detector: Detector, reference: Photographs, windows: Sequence[Photographs]
) -> int | None:
    """The first window in which a detector alarms, from 0; None if in none."""
    found = enumerate(detector(reference, windows))
    return next((window for window, alarms in found if alarms), None)


def _row(name: str, firsts: list[int | None], changed: bool) -> str:
    """False alarms are those before a change, or of a life without one."""
    until = CHANGED_AT if changed else WINDOWS
    false = [first is not None and first < until for first in firsts]
    cells = f"{np.mean(false):.3f}"
    if changed:
        waits = [
            np.inf if first is None else first - CHANGED_AT + 1
            for first, early in zip(firsts, false, strict=True)
            if not early
        ]
        found = f"{np.isfinite(waits).sum()} of {len(waits)}" if waits else "none left"
        middle = np.quantile(waits, 0.5, method="higher") if waits else np.nan
        cells += f" | {found} | {middle:.0f}" if np.isfinite(middle) else f" | {found} | -"
    else:
        cells += " | | "
    return f"{name} | {cells} |"


def measure() -> str:
    """The table: each detector on lives without a change, and with each of the changes."""
    rows = [
        "| windows | detector | lives with a false alarm | changes found "
        "| median windows until the alarm |",
        "|---|---|---|---|---|",
    ]
    detectors = {
        "Darkroom, 1 % over the life": darkroom,
        "SciPy's tests, 5 % each": usual,
        "SciPy's tests, 1 % over 30 windows (Bonferroni)": bonferroni,
    }
    for change, world in CHANGES.items():
        changed = world != World()
        lives = [life(world, seed) for seed in range(CHANGED_LIVES if changed else LIVES)]
        with threadpool_limits(1):
            for name, detector in detectors.items():
                firsts = [first_alarm(detector, *each) for each in lives]
                rows.append(f"| {change} | {_row(name, firsts, changed)}")
        if (firsts_of_adwin := adwin(lives)) is not None:
            rows.append(
                f"| {change} | {_row('ADWIN (river), its defaults', firsts_of_adwin, changed)}"
            )
    return "\n".join(rows)
