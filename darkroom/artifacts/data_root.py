"""Records that stand in a store: a folder of their own, which the artifact's manifest names.

Kubeflow copies every artifact into the container of a step and out of it. What is too large for
that is written once, where all steps read it, and what passes between them is the manifest.
"""

import contextlib
import dataclasses
import itertools
import json
import re
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from darkroom.artifacts.manifest import MANIFEST
from darkroom.errors import StepError
from darkroom.storage.files import StoredFile, clear_errors, exists, list_files, upload
from darkroom.storage.folders import delete_folder
from darkroom.storage.paths import is_uri

_OURS = re.compile(r"(examples|transformed_examples|darkroom)-[0-9a-f]{32}")
"""Names of folders of records, and of those that steps share with Beam's workers while they run."""
_IN_USE = 24 * 3600
"""Seconds after its last change for which a folder may belong to a run in progress."""
RECORDS = "records"
"""The manifest's entry of where the records are; without one they are beside it."""


@contextlib.contextmanager
def records_folder(data_root: str | None, kind: str, artifact: Path) -> Iterator[str]:
    """Gives the folder where the records of an artifact go, which goes if the step fails.

    Once all is well the manifest stands beside the records too: a folder without one is what a
    step left that was killed.

    Args:
        data_root: Path or URI of the folder of all such folders; None leaves
            records in the artifact.
        kind: What the artifact is, such as `examples`.
        artifact: The artifact's folder, which is being written; its manifest is there in the end.

    Yields:
        Its path or URI.

    Raises:
        StepError: The manifest cannot be written there.
    """
    if data_root is None:
        yield str(artifact)
        return
    root = data_root.rstrip("/") if is_uri(data_root) else str(Path(data_root).absolute())
    folder = f"{root}/{kind}-{uuid.uuid4().hex}"
    try:
        if not is_uri(folder):
            Path(folder).mkdir(parents=True)
        yield folder
        with clear_errors(f"cannot write {folder}", StepError):
            upload([artifact / MANIFEST], folder)
    except BaseException:
        # What is left behind has no manifest; an error here would hide the first one.
        with contextlib.suppress(Exception):
            delete_folder(folder)
        raise


@dataclasses.dataclass(frozen=True)
class RecordsFolder:
    """A folder of records in a store.

    Attributes:
        location: Its path or URI.
        kind: What its artifact is, such as `examples`.
        complete: Whether its manifest is there.
        bytes: Size of all its files.
        modified: Seconds since 1970 of the last change.
    """

    location: str
    kind: str
    complete: bool
    bytes: int
    modified: float


def find_records(data_root: str) -> list[RecordsFolder]:
    """The folders that steps made below a data root, the newest first.

    Raises:
        StepError: It cannot be listed.
    """
    root = data_root.rstrip("/")
    files: defaultdict[str, list[StoredFile]] = defaultdict(list)
    with clear_errors(f"cannot list {data_root}", StepError):
        for file in list_files(f"{root}/*-*/**"):
            # Paths are listed as URIs too.
            location = file.location if is_uri(root) else file.location.removeprefix("file://")
            name = location.removeprefix(f"{root}/").partition("/")[0]
            if _OURS.fullmatch(name):  # whatever else is there is somebody else's
                files[f"{root}/{name}"].append(file)
    found = [
        RecordsFolder(
            folder,
            folder.rpartition("/")[2].rpartition("-")[0],
            any(file.location.endswith(f"/{MANIFEST}") for file in inside),
            sum(file.size for file in inside),
            max(file.modified for file in inside),
        )
        for folder, inside in files.items()
    ]
    return sorted(found, key=lambda folder: -folder.modified)


def plan_sweep(data_root: str, keep: int) -> list[RecordsFolder]:
    """The folders of records that can go.

    Args:
        data_root: Path or URI of the folder of all of them.
        keep: How many complete ones of each kind stay, the newest.

    Returns:
        Older ones, and what killed steps left; nothing that changed within a day.
    """
    gone = []
    counts: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
    for folder in find_records(data_root):
        is_due = not folder.complete or next(counts[folder.kind]) >= keep
        if is_due and folder.modified < time.time() - _IN_USE:
            gone.append(folder)
    return gone


def records_stand(artifact: Path) -> bool:
    """Whether the records of an artifact are where its manifest says, if it does."""
    try:
        manifest = json.loads((artifact / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True
    if not isinstance(manifest, dict) or RECORDS not in manifest:
        return True
    with clear_errors(f"cannot read {manifest[RECORDS]}", StepError):
        return exists(f"{manifest[RECORDS]}/{MANIFEST}")
