"""How an artifact was made, for its manifest: the run, the code, the image, and the inputs.

An input's own provenance is part of it, so that a model's manifest alone leads back to the
photographs, wherever its folder was moved.
"""

import contextlib
import datetime
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from darkroom.artifacts.code_digest import code_digest
from darkroom.artifacts.manifest import (
    CURRENT_PROVENANCE,
    MANIFEST,
    PROVENANCE,
    content_digest,
    named_files,
)

RUN_VARIABLE = "DARKROOM_RUN"
"""Environment variable with the run's name."""
IMAGE_VARIABLE = "DARKROOM_IMAGE"
"""With the image that the step runs in; a container does not know it by itself."""
COMMIT_VARIABLE = "DARKROOM_COMMIT"
"""With the commit of the code, which an image cannot ask git for; `-changed` behind it where files
differ from it."""

CHANGED = "-changed"

_ROOT = Path(__file__).resolve().parent.parent.parent
_PACKAGES = ("tensorflow", "keras", "tensorflow-transform", "apache-beam", "numpy")
_SUMMARY = ("kind", "digest", "data", "counts", "rejected", "image_size", "settings", PROVENANCE)
"""What an artifact that was made of another says of it."""


@contextlib.contextmanager
def making(
    step: str,
    module: str,
    inputs: Mapping[str, Path],
    outputs: Mapping[str, str],
    settings: Mapping[str, Any],
) -> Iterator[None]:
    """Notes how the artifacts whose manifests are written meanwhile come about.

    Args:
        step: The step's name.
        module: The module of its function.
        inputs: Its input artifacts by name.
        outputs: Where its output artifacts go; on a cluster, the run's id is in there.
        settings: Its settings, by the parameters' names; JSON values.
    """
    made = {
        "step": step,
        "run": os.environ.get(RUN_VARIABLE),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "code": code_version() | {"source": code_digest(module)},
        "image": os.environ.get(IMAGE_VARIABLE),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "files": {
            key: {"path": str(path), "digest": _digest(path)} for key, path in named_files(settings)
        },
        "outputs": dict(outputs),
        "inputs": {name: _summary(folder) for name, folder in inputs.items()},
    }
    token = CURRENT_PROVENANCE.set(made)
    try:
        yield
    finally:
        CURRENT_PROVENANCE.reset(token)


def code_version() -> dict[str, Any]:
    """The package's version and, where it is known, the commit and whether files differ from it."""
    commit = os.environ.get(COMMIT_VARIABLE) or _commit()
    return {
        "version": _version("darkroom"),
        "commit": commit.removesuffix(CHANGED) or None,
        "changed": commit.endswith(CHANGED),
    }


def _digest(path: Path) -> str | None:
    try:
        return content_digest(path)
    except OSError:  # the step itself says why it cannot be read
        return None


def _summary(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {name: manifest[name] for name in _SUMMARY if name in manifest}
    except (OSError, ValueError):  # the step itself says what is wrong with it, too
        return {}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    """What git says of the work tree that the code lies in; "" where it lies in none."""
    git = ("git", "-C", str(_ROOT))
    try:
        top, head = _output(*git, "rev-parse", "--show-toplevel", "HEAD").split()
        if Path(top).resolve() != _ROOT:  # installed, within a work tree of something else
            return ""
        status = _output(*git, "status", "--porcelain", "--", "components", "darkroom", "pipeline")
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return head + (CHANGED if status.strip() else "")


def _output(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return result.stdout
