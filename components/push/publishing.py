"""Versions of a model in a folder that TF Serving, KServe and `darkroom serve` watch."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.artifacts.manifest import MANIFEST, atomic_artifact, folder_digest, read_manifest
from darkroom.artifacts.model import KIND, Model
from darkroom.errors import SettingsError, StepError
from darkroom.storage.atomic import write_json

PUSHED = "pushed"
"""Entry of a pushed model's manifest: what it was measured as, and how it came to be pushed."""
_WITHDRAWN = ".withdrawn-"
"""Prefix of a version that was rolled back; a server takes only plain numbers for versions."""


def publish(model: Model, destination: Path, record: Mapping[str, Any]) -> Path:
    """Makes a model the newest version at a destination, all at once.

    Pushing the model that already serves again, as a retried step does, changes nothing.

    Args:
        model: The checked model.
        destination: Folder of versions.
        record: What the version's manifest says of the push; JSON values.

    Returns:
        The version's folder, `<destination>/<version>`.

    Raises:
        StepError: The destination cannot be written, or the copy is not the original.
    """
    digest = model.manifest["digest"]
    newest, served = serving(destination)
    if newest is not None and served == digest:
        return newest
    taken = (*served_versions(destination), *_withdrawn_versions(destination))
    version = destination / str(max(taken, default=0) + 1)
    # Another push may have taken the number meanwhile: its version is never replaced.
    with atomic_artifact(version, replace=False) as aside:
        shutil.copytree(model.folder, aside, dirs_exist_ok=True)
        if folder_digest(aside) != digest:
            raise StepError(f"the copy of {model.folder} in {destination} is damaged; push again")
        write_json(aside / MANIFEST, {**model.manifest, PUSHED: record})
    return version


def withdraw(destination: Path) -> tuple[int, int]:
    """Takes the newest version out of service, so that the one before serves again.

    Args:
        destination: Folder of versions.

    Returns:
        The version withdrawn, and the version that serves now.

    Raises:
        SettingsError: There is no such folder.
        StepError: There is no version to go back to.
    """
    if not destination.is_dir():
        raise SettingsError(f"{destination} does not exist")
    versions = served_versions(destination)
    if len(versions) < 2:
        raise StepError(f"{destination} has {len(versions)} version(s): none to go back to")
    newest = destination / str(versions[-1])
    newest.rename(destination / f"{_WITHDRAWN}{newest.name}")
    return versions[-1], versions[-2]


def serving(destination: Path) -> tuple[Path | None, str | None]:
    """The newest version's folder and its model's digest; None for what is not there.

    Args:
        destination: Folder of versions.
    """
    versions = served_versions(destination)
    if not versions:
        return None, None
    newest = destination / str(versions[-1])
    return newest, _digest(newest)


def served_versions(destination: Path) -> list[int]:
    """The versions at a destination, oldest first."""
    return _versions(destination, "")


def _withdrawn_versions(destination: Path) -> list[int]:
    return _versions(destination, _WITHDRAWN)


def _versions(destination: Path, prefix: str) -> list[int]:
    if not destination.is_dir():
        return []
    names = [path.name for path in destination.iterdir() if path.name.startswith(prefix)]
    numbers = [name.removeprefix(prefix) for name in names]
    return sorted(int(number) for number in numbers if number.isdecimal())


def _digest(version: Path) -> str | None:
    """The digest of a pushed model; None of one that someone else put there."""
    try:
        return str(read_manifest(version, KIND)["digest"])
    except StepError:
        return None
