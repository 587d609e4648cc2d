"""The versions that a model directory holds."""

import os
from pathlib import Path

from darkroom.artifacts import model_repository
from darkroom.artifacts.model_repository import (
    GRAPH_FILE,
    Version,
    is_complete,
    is_version_name,
)
from darkroom.errors import SettingsError


def find_versions(model_dir: Path) -> list[Version]:
    """The versions in a model directory, the highest first.

    Args:
        model_dir: A SavedModel directory (version 1, or its own number where it is named by one),
            or a model repository.
    """
    if is_complete(model_dir):
        number = int(model_dir.name) if is_version_name(model_dir.name) else 1
        return [Version(number, model_dir)]
    return model_repository.find_versions(model_dir)


def check_model_directory(model_dir: Path) -> None:
    """Says early what would keep a directory from being served.

    Raises:
        SettingsError: There is no such directory, or no model in it.
    """
    if not model_dir.is_dir():
        raise SettingsError(f"the model directory {model_dir} does not exist")
    if not find_versions(model_dir):
        raise SettingsError(
            f"{model_dir} holds no model: {GRAPH_FILE} must be in it, "
            "or in a folder in it that is named by a version's number, such as 1"
        )


def model_name(model_dir: Path) -> str:
    """The name of a directory's model: the folder's, or its parent's where that is a version.

    >>> model_name(Path("/models/flowers"))
    'flowers'
    >>> model_name(Path("/models/flowers/3"))
    'flowers'
    """
    # A link keeps its own name, which Path.resolve would lose.
    folder = Path(os.path.abspath(model_dir))  # noqa: PTH100
    if is_version_name(folder.name):
        folder = folder.parent
    return folder.name or "model"
