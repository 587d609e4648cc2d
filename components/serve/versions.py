"""The versions that a model directory holds."""

import contextlib
import dataclasses
import os
from pathlib import Path

from darkroom.errors import SettingsError

_GRAPH_FILE = "saved_model.pb"


@dataclasses.dataclass(frozen=True)
class Version:
    """A SavedModel that can be served.

    Attributes:
        number: Its version.
        folder: The SavedModel directory.
    """

    number: int
    folder: Path

    def stamp(self) -> frozenset[tuple[Path, int, int]]:
        """Path, size in bytes and time of change of each of its files: other files, other stamp."""
        files = []
        for path in self.folder.rglob("*"):
            # Somebody may be removing the version.
            with contextlib.suppress(OSError):
                stat = path.stat()
                files.append((path, stat.st_size, stat.st_mtime_ns))
        return frozenset(files)


def find_versions(model_dir: Path) -> list[Version]:
    """The versions in a model directory, the highest first.

    Args:
        model_dir: A SavedModel directory (version 1, or its own number where it is named by one),
            or a folder of them, each named by its version's number as TF Serving takes it.
            Folders of other names and folders without a SavedModel are left out.
    """
    if (model_dir / _GRAPH_FILE).is_file():
        return [Version(int(model_dir.name) if _is_number(model_dir.name) else 1, model_dir)]
    try:
        folders = list(model_dir.iterdir())
    except OSError:
        return []
    versions = [Version(int(folder.name), folder) for folder in folders if _is_number(folder.name)]
    whole = [version for version in versions if (version.folder / _GRAPH_FILE).is_file()]
    return sorted(whole, key=lambda version: version.number, reverse=True)


def check_model_directory(model_dir: Path) -> None:
    """Says early what would keep a directory from being served.

    Raises:
        SettingsError: There is no such directory, or no model in it.
    """
    if not model_dir.is_dir():
        raise SettingsError(f"the model directory {model_dir} does not exist")
    if not find_versions(model_dir):
        raise SettingsError(
            f"{model_dir} holds no model: {_GRAPH_FILE} must stand in it, "
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
    if _is_number(folder.name):
        folder = folder.parent
    return folder.name or "model"


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
