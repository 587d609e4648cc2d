"""A model repository: numbered versions in a folder or bucket. The one rule of what a version is.

The rule is TF Serving's: a version is a folder whose name is a decimal number and which holds a
complete SavedModel; the highest serves. A folder that is still being copied is not a version yet.
What has another role keeps its number under a name that servers ignore, such as `.rolled-back-7`;
of those, only our own server reads the canary.
"""

import dataclasses
import enum
import re
import urllib.parse
from pathlib import Path

from darkroom.artifacts.manifest import MANIFEST, artifact_digest, folder_digest
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.storage.atomic import os_reason
from darkroom.storage.folders import read_folder
from darkroom.storage.paths import is_uri

GRAPH_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel; only the manifest is written after it."""
LAST_FILES = (MANIFEST, GRAPH_FILE)
"""With the graph a folder is a version, so that it comes last of all."""


class Role(enum.StrEnum):
    """What a numbered folder is for; its name is the role's, between dots and the number."""

    SERVED = ""
    """A version that serves, or did before a higher one came."""
    CANARY = "canary"
    """Gets a share of the requests."""
    ROLLED_BACK = "rolled-back"
    """Taken out of service by somebody."""
    SUPERSEDED = "superseded"
    """A canary in whose place another came."""
    STAGED = "staged"
    """Complete, on its way to its name."""
    CLAIMED = "claimed"
    """A push has this number."""
    PRUNED = "pruned"
    """On its way out."""


_SERVED = re.compile(r"[0-9]{1,18}")  # of an int64, as TF Serving reads it
_OTHER = re.compile(rf"\.({'|'.join(filter(None, Role))}|withdrawn)-([0-9]{{1,18}})")


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a model.

    Attributes:
        number: Its number.
        location: Path or URI of the SavedModel directory.
    """

    number: int
    location: str

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.location.rpartition("/")[2]

    @property
    def folder(self) -> Path:
        """Its folder, where that is on this machine."""
        return Path(self.location)


def is_version_name(name: str) -> bool:
    """Whether a folder's name is a version's number, as TF Serving reads it."""
    return _SERVED.fullmatch(name) is not None


def folder_name(number: int, role: Role) -> str:
    """The name of a version's folder in a role.

    >>> folder_name(7, Role.CANARY)
    '.canary-7'
    """
    return f".{role}-{number}" if role else str(number)


def parsed_name(name: str) -> tuple[int, Role] | None:
    """The number and role that a folder's name says; None for other names."""
    if _SERVED.fullmatch(name):
        return int(name), Role.SERVED
    match = _OTHER.fullmatch(name)
    if match is None:
        return None
    # `withdrawn` is what an earlier release wrote.
    return int(match[2]), Role.ROLLED_BACK if match[1] == "withdrawn" else Role(match[1])


def repository_of(destination: str) -> str:
    """The repository of a push destination: the destination itself, or the storage that it names.

    Args:
        destination: As `push.destination` has it.

    Raises:
        SettingsError: Its versions are in no folder or bucket.

    >>> repository_of("served/flowers")
    'served/flowers'
    >>> repository_of("kserve://models/flowers?storage=gs://my-bucket/served/flowers")
    'gs://my-bucket/served/flowers'
    """
    storage = urllib.parse.parse_qs(urllib.parse.urlsplit(destination).query).get("storage")
    if storage is not None and is_uri(destination):
        return storage[0].rstrip("/")
    if destination.startswith("archive://"):
        raise SettingsError(
            f"the versions at {destination} are archives: name a folder that they were unpacked to"
        )
    return destination.rstrip("/") if is_uri(destination) else str(Path(destination))


def own_version(location: str | Path) -> Version | None:
    """The version that a folder itself is; None where it holds no complete SavedModel.

    Args:
        location: Path or URI of a folder: its number is the one that its name says, 1 if none.
    """
    if not is_complete(location):
        return None
    parsed = parsed_name(Path(location).name)
    return Version(parsed[0] if parsed else 1, str(location))


def find_versions(repository: str | Path, role: Role = Role.SERVED) -> list[Version]:
    """The complete versions in a repository, the highest first.

    Args:
        repository: Path or URI; one that does not exist has none.
        role: The role they have.
    """
    return [version for version in find_folders(repository, role) if is_complete(version.location)]


def find_incomplete(repository: str | Path) -> list[Version]:
    """The numbered folders that hold no complete model, the highest first."""
    versions = find_folders(repository, Role.SERVED)
    return [version for version in versions if not is_complete(version.location)]


def serving_version(repository: str | Path) -> Version | None:
    """The version that servers serve, which is the highest; None if there is none."""
    return next(iter(find_versions(repository)), None)


def is_complete(location: str | Path) -> bool:
    """Whether a SavedModel in a folder is complete, by the file that is written last."""
    with files.clear_errors(f"cannot read {location}", StepError):
        return bool(files.size(f"{location}/{GRAPH_FILE}"))


def is_whole(version: Version) -> bool:
    """Whether a version's files are those that its manifest was written of.

    Of a version without one, which another program put there, whether TensorFlow would find its
    variables.
    """
    with read_folder(version.location) as folder:
        digest = artifact_digest(folder)
        if digest is not None:
            return folder_digest(folder) == digest
        variables = folder / "variables"
        return not variables.is_dir() or (variables / "variables.index").is_file()


def find_folders(repository: str | Path, role: Role) -> list[Version]:
    """All folders of a role, complete or not, the highest first.

    Of folders of one number, `7` and `07`, a complete one counts, of those the shortest name.
    """
    found: dict[int, list[Version]] = {}
    for name in listed(repository)[0]:
        if (parsed := parsed_name(name)) and parsed[1] is role:
            found.setdefault(parsed[0], []).append(Version(parsed[0], f"{repository}/{name}"))
    return [_best(found[number]) for number in sorted(found, reverse=True)]


def _best(versions: list[Version]) -> Version:
    if len(versions) == 1:
        return versions[0]
    return max(versions, key=lambda each: (is_complete(each.location), -len(each.name)))


def listed(repository: str | Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a repository; none where there is none.

    Raises:
        StepError: A bucket cannot be listed.
    """
    location = str(repository)
    if not is_uri(location):
        return _listed_here(Path(location))
    with files.clear_errors(f"cannot list {location}", StepError):
        return files.list_level(location)


def _listed_here(repository: Path) -> tuple[list[str], list[str]]:
    # A server asks every few seconds: without fsspec, whose import takes a while.
    try:
        paths = sorted(repository.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError as error:
        # It is not empty, and nothing may be done as if it were.
        raise StepError(f"cannot list {repository}: {os_reason(error)}") from error
    names = [path.name for path in paths if path.is_dir()]
    return names, [path.name for path in paths if path.name not in set(names)]
