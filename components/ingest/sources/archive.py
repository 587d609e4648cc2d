"""An archive of label folders, unpacked where the step may write."""

import os
import re
import stat
import tarfile
import zipfile
from pathlib import Path

from darkroom.errors import SettingsError
from darkroom.sources.file_names import is_left_by_systems

_NAME = re.compile(r"\.(zip|tar|tgz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


def is_archive(data: str) -> bool:
    """Whether a path is that of an archive, by its name."""
    return _NAME.search(data) is not None and Path(data).is_file()


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpacks a `.zip` or `.tar` archive; nothing of it is written outside of the folder.

    Args:
        archive: The archive.
        folder: Where it is unpacked.

    Returns:
        The folder that holds the label folders: a single folder around them is entered, as
        `flower_photos` in tf_flowers' archive.

    Raises:
        SettingsError: It does not unpack.
    """
    into = folder / "unpacked"
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(into, [i for i in zipped.infolist() if not _is_link(i)])
        else:
            with tarfile.open(archive) as tape:
                tape.extractall(into, filter="data")
    except (OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise SettingsError(f"{archive} does not unpack: {error}") from None
    while (inner := _only_folder(into)) is not None:
        into = inner
    return into


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(entry.external_attr >> 16)


def _only_folder(folder: Path) -> Path | None:
    """The one folder in a folder, if it holds folders itself."""
    with os.scandir(folder) as found:
        inner = [Path(e.path) for e in found if e.is_dir() and not is_left_by_systems(e.name)]
    if len(inner) != 1:
        return None
    with os.scandir(inner[0]) as found:
        return inner[0] if any(entry.is_dir() for entry in found) else None
