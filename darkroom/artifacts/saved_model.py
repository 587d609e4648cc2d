"""SavedModels at any path: TensorFlow takes the path of a model's variables for a pattern."""

import functools
import re
import tempfile
from pathlib import Path
from typing import Any

from darkroom.start_up_lines import without_start_up_lines

_PATTERN = re.compile(r"[\[\]*?\\{}]")


_AROUND = ("Graph execution error", "Detected at node", "File ", "<stack traces", "[[", "{{")
"""How lines begin that TensorFlow puts around what went wrong."""


def graph_reason(message: str) -> str:
    """What went wrong in a graph, without all that TensorFlow puts around it; "" if it is silent.

    Args:
        message: An error's message, of several lines.
    """
    lines = [line.strip() for line in message.splitlines()]
    return next((line for line in lines if line and not line.startswith(_AROUND)), "")


def load_saved_model(folder: Path | str) -> Any:
    """Loads a SavedModel, whatever characters its path has.

    Args:
        folder: The SavedModel directory.

    Raises:
        Exception: Whatever TensorFlow raises for one that is broken.
    """
    with without_start_up_lines():
        import tensorflow as tf

        return tf.saved_model.load(str(plain_path(Path(folder))))


def plain_path(folder: Path) -> Path:
    """A path to a folder that TensorFlow takes for no pattern, as it does `runs [1]`.

    Args:
        folder: The folder, which exists.

    Returns:
        The folder itself or, where its path has brackets, stars and the like, a link to it that
        stays as long as this process: files of a model may be read long after it was loaded.
    """
    folder = folder.absolute()
    if not _PATTERN.search(str(folder)):
        return folder
    link = Path(_links().name) / f"{len(list(Path(_links().name).iterdir()))}"
    link.symlink_to(folder, target_is_directory=True)
    return link


@functools.cache
def _links() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="darkroom-links-")
