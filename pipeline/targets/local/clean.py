"""Frees the disk of runs that nothing needs any more."""

import dataclasses
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from darkroom.artifacts.manifest import MANIFEST, PROVENANCE
from darkroom.artifacts.model_repository import Role, find_versions
from pipeline.targets.local.run_folder import RUNNING, read_runs

CACHE, SERVED = ".cache", "served"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What can go.

    Attributes:
        runs: Folders of runs.
        entries: Files of the cache whose artifacts are in those folders.
        freed: Bytes that the disk gets back; files that other runs share stay.
    """

    runs: Sequence[Path]
    entries: Sequence[Path]
    freed: int


def plan_cleaning(out: Path, keep: int) -> Plan:
    """Finds what no pushed model, no running run and none of the newest runs needs.

    Args:
        out: The folder of runs.
        keep: How many of the newest runs stay, with all that the cache knows of them.
    """
    runs = read_runs(out)
    pushed = set(_runs_of_versions(out / SERVED))
    gone = [
        Path(run["folder"])
        for run in runs[keep:]
        if run["status"] != RUNNING and run["run_id"] not in pushed
    ]
    entries = [entry for entry in (out / CACHE).glob("*.json") if _is_below(entry, gone)]
    return Plan(gone, entries, _bytes_freed(gone))


def clean(plan: Plan) -> None:
    """Removes what a plan names; the cache's entries first, which would else name nothing.

    Raises:
        OSError: Something cannot be removed.
    """
    for entry in plan.entries:
        entry.unlink(missing_ok=True)
    for folder in plan.runs:
        shutil.rmtree(folder)


def _runs_of_versions(served: Path) -> Iterable[str]:
    """The runs that made the models which serve, or were rolled back: lineage leads to them."""
    for repository in served.glob("*"):
        for version in (each for role in Role for each in find_versions(repository, role)):
            try:
                manifest = json.loads((version.folder / MANIFEST).read_text(encoding="utf-8"))
                yield str(manifest[PROVENANCE]["run"])
            except (OSError, ValueError, KeyError, TypeError):
                continue


def _is_below(entry: Path, folders: Iterable[Path]) -> bool:
    try:
        document: dict[str, Any] = json.loads(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # An entry names its artifacts; an attempt's, where it was to write them, by name.
    outputs = document.get("outputs", document)
    places = [value.get("uri") if isinstance(value, dict) else value for value in outputs.values()]
    named = [Path(place) for place in places if isinstance(place, str) and place.startswith("/")]
    return any(path.is_relative_to(folder) for path in named for folder in folders)


def _bytes_freed(folders: Iterable[Path]) -> int:
    """Sizes of the files whose every link is in the folders."""
    links: Counter[tuple[int, int]] = Counter()
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                found = (Path(place) / name).lstat()
                inode = (found.st_dev, found.st_ino)
                links[inode] += 1
                sizes[inode] = (found.st_nlink, found.st_blocks * 512)
    return sum(size for inode, (count, size) in sizes.items() if links[inode] >= count)
