"""The champion artifact: the model that serves, for evaluate to compare a new one with."""

import dataclasses
import hashlib
import json
from pathlib import Path

from darkroom.artifacts.manifest import read_manifest, write_manifest

KIND = "champion"
_MODEL_FOLDER = "model"


@dataclasses.dataclass(frozen=True)
class Champion:
    """The model that a new one is to be better than.

    Attributes:
        name: What people call it, such as `version 3 of served/flowers`.
        folder: Its SavedModel directory.
        problem: Why it cannot be used, in a few words; None if it can.
    """

    name: str
    folder: Path
    problem: str | None = None


def model_folder(folder: Path) -> Path:
    """Where an artifact has the champion's model, which is written before `write_champion`."""
    return folder / _MODEL_FOLDER


def write_champion(
    folder: Path, name: str | None, digest: str | None = None, problem: str | None = None
) -> None:
    """Writes the artifact's manifest.

    Args:
        folder: The artifact's folder.
        name: The champion's name; None if nothing serves.
        digest: The model's digest; None where it has none.
        problem: Why the champion cannot be used.
    """
    content = {"name": name, "problem": problem, "model_digest": digest}
    # What evaluate's outcome follows from: a cache goes by it.
    stated = json.dumps(content, sort_keys=True).encode()
    write_manifest(folder, KIND, content | {"digest": hashlib.sha256(stated).hexdigest()})


def read_champion(folder: Path) -> Champion | None:
    """Reads the artifact; None if nothing serves.

    Raises:
        StepError: The artifact is missing or not complete.
    """
    manifest = read_manifest(folder, KIND)
    if manifest["name"] is None:
        return None
    return Champion(manifest["name"], model_folder(folder), manifest["problem"])
