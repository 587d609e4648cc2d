"""Files anywhere, by path or URI: the one seam on fsspec, whose packages know the stores.

`gs://` is read and written through gcsfs and `s3://` through s3fs; fsspec knows further schemes.
Each finds its credentials as its cloud's own tools do, and takes an endpoint of another place from
`STORAGE_EMULATOR_HOST` or `AWS_ENDPOINT_URL`.
"""

import contextlib
import dataclasses
import datetime
import glob
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from darkroom.errors import DarkroomError, StepError
from darkroom.storage.atomic import create_file
from darkroom.storage.paths import is_uri

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")
"""Names that file systems give the time of a file's last change."""

_BLOCK = 8 * 2**20


@dataclasses.dataclass(frozen=True)
class StoredFile:
    """A file as a store lists it.

    Attributes:
        location: Its path or URI.
        size: Bytes.
        modified: Seconds since 1970 of its last change; 0.0 where the store does not say.
    """

    location: str
    size: int
    modified: float


def list_files(pattern: str) -> list[StoredFile]:
    """The files that a pattern matches, sorted by location.

    Args:
        pattern: A path or URI; `*` matches within a folder, `**` below it at any depth.

    Raises:
        FileNotFoundError: There is no such bucket.
        OSError: The store refuses, or does not answer; each client has further errors of its own.
    """
    from fsspec.core import has_magic

    system, path = file_system(pattern)
    # Clients of clouds raise by themselves what others leave out unless they are told to.
    strict = {} if system.async_impl else {"on_error": "raise"}
    try:
        found = system.glob(path, detail=True, **strict)
        if not found and not has_magic(path):
            system.info(path)  # a glob without wildcards only asks whether it is there
    except FileNotFoundError:
        found = {}
    if not found and system.async_impl:
        # A glob leaves a bucket that does not exist out, too; listing it says so.
        system.ls(path.partition("/")[0])
    files = [
        StoredFile(system.unstrip_protocol(name), int(info["size"]), _modified(info))
        for name, info in found.items()
        if info["type"] == "file"
    ]
    return sorted(files, key=lambda file: file.location)


def list_level(folder: str) -> tuple[list[str], list[str]]:
    """What is directly in a folder: the names of the folders and of the files, each sorted.

    Args:
        folder: A path or URI. One that does not exist is empty.

    Raises:
        FileNotFoundError: There is no such bucket.
        OSError: The store refuses, or does not answer; each client has further errors of its own.
    """
    system, path = file_system(folder)
    path = path.rstrip("/")
    try:
        found = system.ls(path, detail=True)
    except FileNotFoundError:
        found = []
        if system.async_impl:
            system.ls(path.partition("/")[0])
    # Some clients list a folder among what is in it.
    inside = {
        (info["name"].removeprefix(f"{path}/").strip("/"), info["type"])
        for info in found
        if info["name"].rstrip("/") != path
    }
    folders = sorted(name for name, kind in inside if kind == "directory")
    # An object may have the name of a folder.
    return folders, sorted(name for name, kind in inside if kind == "file")


def read_bytes(location: str) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read.
    """
    if not is_uri(location):
        return Path(location).read_bytes()
    system, path = file_system(location)
    content: bytes = system.cat_file(path)
    return content


def read_several(locations: Sequence[str]) -> list[bytes]:
    """The contents of files in one place, several at a time.

    Raises:
        FileNotFoundError: One of them is not there.
        OSError: One cannot be read; each client of a store has further errors of its own.
    """
    if not locations or not is_uri(locations[0]):
        return [read_bytes(location) for location in locations]
    system, _ = file_system(locations[0])
    paths = [file_system(location)[1] for location in locations]
    found = system.cat(paths)
    return [found] if isinstance(found, bytes) else [found[path] for path in paths]


@contextlib.contextmanager
def opened(location: str | Path) -> Iterator[BinaryIO]:
    """Opens a file anywhere, to be read from its beginning, some megabytes ahead.

    Raises:
        StepError: Its store refuses, or does not answer, now or while it is read.
        OSError: A file of this machine cannot be read.
    """
    if not is_uri(str(location)):
        with Path(location).open("rb") as local:
            yield local
        return
    system, path = file_system(str(location))
    with (
        clear_errors(f"cannot read {location}", StepError),
        system.open(path, "rb", block_size=_BLOCK, cache_type="readahead") as file,
    ):
        yield file


def size(location: str) -> int | None:
    """Bytes of a file; None where there is none."""
    if not is_uri(location):
        path = Path(location)
        return path.stat().st_size if path.is_file() else None
    system, path_there = file_system(location)
    try:
        return int(system.size(path_there))
    except FileNotFoundError:
        return None


def exists(location: str) -> bool:
    """Whether there is a file or folder."""
    system, path = file_system(location)
    return bool(system.exists(path))


def create(location: str, content: bytes) -> bool:
    """Writes a file where there is none; of several writers, one does.

    Returns:
        Whether it was written; False where one is there.
    """
    if not is_uri(location):
        # fsspec asks whether a local file is there, and only then writes it: several could.
        Path(location).parent.mkdir(parents=True, exist_ok=True)
        return create_file(Path(location), content)
    system, path = file_system(location)
    try:
        system.pipe_file(path, content, mode="create")
    except FileExistsError:
        return False
    return True


def put(file: Path, location: str) -> None:
    """Copies a file from here to anywhere, under another name."""
    system, path = file_system(location)
    _make_folder(system, path.rpartition("/")[0])
    system.put_file(str(file), path)


def upload(files: Sequence[Path], folder: str) -> None:
    """Copies files from here into a folder anywhere, under their own names, several at a time."""
    if files:
        system, path = file_system(folder)
        _make_folder(system, path)
        system.put([str(file) for file in files], [f"{path}/{file.name}" for file in files])


def download(locations: Sequence[str], folder: Path) -> list[Path]:
    """Copies files from anywhere into a folder here, under their own names, several at a time.

    Returns:
        Their paths.
    """
    if not locations:
        return []
    system, _ = file_system(locations[0])
    paths = [folder / location.rpartition("/")[2] for location in locations]
    system.get([file_system(each)[1] for each in locations], [str(path) for path in paths])
    return paths


def copy(source: str, target: str) -> None:
    """Copies a file within one store, which does it itself."""
    system, path = file_system(source)
    system.cp_file(path, file_system(target)[1])


@contextlib.contextmanager
def written_to(folder: str) -> Iterator[Path]:
    """Gives a folder here to write files in, which then stand in a folder anywhere.

    Args:
        folder: A path, which is given itself, or a URI, to which the files are uploaded in the end.

    Raises:
        StepError: They cannot be uploaded.
    """
    if not is_uri(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        with clear_errors(f"cannot write {folder}", StepError):
            upload(sorted(Path(temporary).iterdir()), folder)


@contextlib.contextmanager
def read_from(location: str) -> Iterator[Path]:
    """Gives a file's path here: its own, or that of a copy while it is used."""
    if not is_uri(location):
        yield Path(location)
        return
    with tempfile.TemporaryDirectory() as temporary:
        with clear_errors(f"cannot read {location}", StepError):
            (path,) = download([location], Path(temporary))
        yield path


@contextlib.contextmanager
def read_all(locations: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Gives files' paths here: their own, or those of copies while they are used.

    Raises:
        StepError: One of them cannot be read.
    """
    remote = [location for location in locations if is_uri(location)]
    if not remote:
        yield tuple(locations)
        return
    with tempfile.TemporaryDirectory() as temporary:
        with clear_errors(f"cannot read {remote[0].rpartition('/')[0]}", StepError):
            copies = dict(zip(remote, download(remote, Path(temporary)), strict=True))
        yield tuple(str(copies.get(location, location)) for location in locations)


def delete(locations: Sequence[str]) -> None:
    """Removes files that are there."""
    if locations:
        system, _ = file_system(locations[0])
        system.rm([literal(system, file_system(location)[1]) for location in locations])


@contextlib.contextmanager
def clear_errors(what: str, kind: type[DarkroomError]) -> Iterator[None]:
    """Makes one line of every way a store may fail; each client has exceptions of its own.

    Args:
        what: What fails, such as `cannot read gs://bucket/flowers.csv`.
        kind: The error to raise.
    """
    try:
        yield
    except DarkroomError:
        raise
    except Exception as error:
        raise kind(f"{what}: {cause(error)}") from error


def _make_folder(system: Any, path: str) -> None:
    """Makes a folder where a file system wants one; of an object store it would make a bucket."""
    if not system.async_impl:
        system.makedirs(path, exist_ok=True)


def cause(error: BaseException) -> str:
    """What an error says at its core, in one line."""
    # A package that wraps a client's own error, and that again, in errors that only list others.
    while details := getattr(error, "exception_details", None):
        error = next(iter(details.values()))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, FileNotFoundError) and " " not in str(error):
        return f"no such bucket, folder or file ({error})"  # of a client that says where, not what
    return " ".join(str(error).split()) or type(error).__name__


def file_system(location: str) -> tuple[Any, str]:
    """The file system of fsspec that a location is in, and its path there."""
    # Its import takes a while, and most runs have no URI.
    from fsspec.core import url_to_fs

    # A store is asked each time: what it listed before may have changed.
    system, path = url_to_fs(location, use_listings_cache=False)
    return system, path


def literal(system: Any, path: str) -> str:
    """A path for `rm`, which the clouds' file systems would read as a pattern."""
    return glob.escape(path) if system.async_impl else path


def _modified(info: dict[str, Any]) -> float:
    value = next((info[name] for name in _TIMES if info.get(name) is not None), 0.0)
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    return value.timestamp() if isinstance(value, datetime.datetime) else float(value)
