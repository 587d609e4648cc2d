"""A model repository: a folder of numbered versions, as TF Serving, KServe and ours watch it.

The one rule, which is TF Serving's: a version is a folder that is named by a decimal number and
holds a complete model, that is a `saved_model.pb`. The highest version serves.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from darkroom.errors import SettingsError, StepError

GRAPH_FILE = "saved_model.pb"
"""The file of a SavedModel that is written last: a folder with it holds a complete model."""
LARGEST_NUMBER = 2**63 - 1
"""TF Serving reads versions as 64-bit integers."""

_ROLLED_BACK = ".rolled-back-"
_PREFIXES = (_ROLLED_BACK, ".withdrawn-")
"""Of versions that were rolled back, by this release and by earlier ones; no server takes them."""


@dataclasses.dataclass(frozen=True)
class Version:
    """A complete version, which can be served.

    Attributes:
        number: Its number.
        folder: The SavedModel directory.
    """

    number: int
    folder: Path


def version_number(name: str) -> int | None:
    """The version that a folder's name stands for; None for any other name.

    Only ASCII digits count, and leading zeros do not matter.

    >>> version_number("12"), version_number("007"), version_number("v1"), version_number("\u0663")
    (12, 7, None, None)
    """
    if not (name.isascii() and name.isdigit()):
        return None
    # A longer text of digits is no 64-bit integer, and Python refuses to read the longest.
    digits = name.lstrip("0") or "0"
    number = int(digits) if len(digits) <= len(str(LARGEST_NUMBER)) else LARGEST_NUMBER + 1
    return number if number <= LARGEST_NUMBER else None


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a complete model."""
    return (folder / GRAPH_FILE).is_file()


def list_versions(repository: Path) -> list[Version]:
    """The complete versions of a repository, lowest first; none where there is no such folder.

    Of two folders with the same number, such as `7` and `007`, the one without zeros counts.
    """
    found: dict[int, Path] = {}
    for number, path in _numbered(repository):
        if is_complete(path) and (number not in found or path.name == str(number)):
            found[number] = path
    return [Version(number, found[number]) for number in sorted(found)]


def serving_version(repository: Path) -> Version | None:
    """The version that serves, which is the highest complete one; None where there is none."""
    return next(iter(reversed(list_versions(repository))), None)


def incomplete_versions(repository: Path) -> list[Path]:
    """The numbered folders without a complete model, such as a half-copied one, lowest first."""
    found = [(number, path) for number, path in _numbered(repository) if path.is_dir()]
    return [path for _, path in sorted(found) if not is_complete(path)]


def next_number(repository: Path) -> int:
    """A number above all that were ever used: of complete, half-copied and rolled-back versions.

    Raises:
        StepError: There is no higher number.
    """
    used = [number for number, _ in _numbered(repository)]
    for prefix in _PREFIXES:
        used += [number for number, _ in _numbered(repository, prefix)]
    number = max(used, default=0) + 1
    if number > LARGEST_NUMBER:
        raise StepError(f"{repository} has version {number - 1}, the highest that there can be")
    return number


def roll_back(repository: Path) -> tuple[Version, Version]:
    """Takes the version that serves out of service, so that the one before it serves again.

    Its folder is renamed, so that it stays out of service and its number is not used again.

    Returns:
        The version that was rolled back, in its new folder, and the version that serves now.

    Raises:
        SettingsError: There is no such folder.
        StepError: There is no version to go back to, or the folder cannot be renamed.
    """
    if not repository.is_dir():
        raise SettingsError(f"{repository} does not exist")
    versions = list_versions(repository)
    if len(versions) < 2:
        raise StepError(f"{repository} has {len(versions)} version(s): none to go back to")
    newest = versions[-1]
    folder = repository / f"{_ROLLED_BACK}{newest.number}"
    try:
        # `007` beside `7` would serve once `7` is gone.
        for number, path in [*_numbered(repository)]:
            if number == newest.number and path != newest.folder and is_complete(path):
                path.rename(repository / f"{_ROLLED_BACK}{path.name}")
        newest.folder.rename(folder)
    except OSError as error:
        raise StepError(f"cannot rename {newest.folder}: {error.strerror or error}") from None
    return Version(newest.number, folder), versions[-2]


def _numbered(repository: Path, prefix: str = "") -> Iterator[tuple[int, Path]]:
    """What is named by a prefix and a number."""
    # Somebody may be removing the folder; a file is no folder of versions.
    with contextlib.suppress(OSError):
        for path in repository.iterdir():
            number = version_number(path.name.removeprefix(prefix))
            if number is not None and path.name.startswith(prefix):
                yield number, path
