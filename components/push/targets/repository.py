"""A folder or bucket of versions that TF Serving, KServe and `darkroom serve` watch."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.push import changes, completion
from components.push.staging import staged
from components.push.targets.target import PUSHED, PushedVersion
from darkroom.artifacts import model_repository
from darkroom.artifacts.manifest import MANIFEST, PROVENANCE, folder_digest, parse_manifest
from darkroom.artifacts.model import KIND, Model
from darkroom.artifacts.model_repository import Role, Version
from darkroom.artifacts.proof import changed_files, has_digests
from darkroom.artifacts.push_log import Entry, PushLog
from darkroom.artifacts.signature import SIGNATURE
from darkroom.artifacts.traffic import canary_traffic, find_canary
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.storage.atomic import check_writable, os_reason
from darkroom.storage.folders import download_folder, read_folder
from darkroom.storage.paths import is_uri

_STORES = ("gs://", "s3://")
_log = logging.getLogger("darkroom.push")


class RepositoryTarget:
    """A model repository in a folder or a bucket.

    Args:
        destination: Its path or URI; made where it is missing.
        before: What is done before a change of what serves is logged and made here, by a target
            whose server does not watch the repository.
    """

    FORM = "a folder or bucket, such as served/flowers or gs://my-bucket/served/flowers"
    TAKES_CANARIES = True

    def __init__(self, destination: str, before: changes.Before | None = None) -> None:
        self._repository = (
            destination.rstrip("/") if is_uri(destination) else str(Path(destination))
        )
        self._before = before
        self._known: PushLog | None = None

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """Whether a destination is a path, or the URI of a bucket."""
        return not is_uri(destination) or destination.startswith(_STORES)

    def repository(self) -> str:
        """The folder or bucket itself."""
        return self._repository

    def check(self) -> None:
        """Tries whether a folder can be written; see `PushTarget`."""
        if not is_uri(self._repository):
            check_folder(Path(self._repository))

    def publish(self, model: Model, traffic: int = 100) -> PushedVersion:
        """Makes a model the highest version, or a canary, all at once; see `PushTarget`."""
        self._check_is_no_version()
        log = self._read_log()
        completion.complete(log)
        self._warn_of_incomplete()
        serving = model_repository.serving_version(self._repository)
        if serving is not None and _is_same(serving, model):
            return pushed_version(serving)
        canary = find_canary(self._repository)
        if canary is not None and _is_same(canary, model):
            # It is there; only its share of requests may be another now.
            if traffic != canary_traffic(canary, log.last):
                self.promote(traffic)
            role = Role.CANARY if traffic < 100 else Role.SERVED
            name = model_repository.folder_name(canary.number, role)
            return pushed_version(Version(canary.number, f"{self._repository}/{name}"))

        with staged(log, model.folder) as version:
            self._check_copy(version, model)
            entry = changes.publish(log, version, traffic, facts_of(model), self._before)
        role = Role.SERVED if entry.canary is None else Role.CANARY
        name = model_repository.folder_name(version.number, role)
        return pushed_version(Version(version.number, f"{self._repository}/{name}"))

    def current(self) -> PushedVersion | None:
        """The highest complete version."""
        version = model_repository.serving_version(self._repository)
        return None if version is None else pushed_version(version)

    def canary(self) -> PushedVersion | None:
        """The version in `.canary-N`, which only `darkroom serve` reads."""
        version = find_canary(self._repository)
        return None if version is None else pushed_version(version)

    def versions(self) -> Sequence[PushedVersion]:
        """The complete versions, the highest first."""
        return [
            pushed_version(version) for version in model_repository.find_versions(self._repository)
        ]

    def rolled_back(self) -> Sequence[PushedVersion]:
        """The versions out of service, the highest first."""
        found = model_repository.find_versions(self._repository, Role.ROLLED_BACK)
        return [pushed_version(version) for version in found]

    def traffic(self) -> Mapping[int, int]:
        """The canary's share, and the highest version's."""
        current, canary = self.current(), find_canary(self._repository)
        if current is None:
            return {}
        share = canary_traffic(canary, self.last_entry()) if canary is not None else 0
        rest = {current.number: 100 - share}
        return rest if canary is None else {**rest, canary.number: share}

    def fetch(self, version: PushedVersion, folder: Path) -> None:
        """Copies a version's model into a folder; see `PushTarget`."""
        download_folder(version.location, folder)
        if version.digest is not None and folder_digest(folder) != version.digest:
            raise StepError(f"{version.location} is damaged: its files have changed")

    def promote(self, traffic: int = 100, reason: str = "", canary: int | None = None) -> Entry:
        """Makes the canary serve, or changes its share; see `PushTarget`."""
        self._check_exists()
        return changes.promote(self._read_log(), traffic, reason, canary, self._before)

    def rollback(self, to: int | None = None, reason: str = "", canary: int | None = None) -> Entry:
        """Takes the canary back, or goes back to an earlier version; see `PushTarget`."""
        self._check_exists()
        self._warn_of_incomplete()
        return changes.roll_back(self._read_log(), to, reason, canary, self._before)

    def prune(self, keep: int) -> Sequence[int]:
        """Removes all but the newest versions; see `PushTarget`."""
        return changes.prune(self._read_log(), keep)

    def log(self) -> Sequence[Entry]:
        """What was done here, oldest first."""
        return self._read_log().entries

    def last_entry(self) -> Entry | None:
        """What was done here last."""
        return self._read_log().last

    def _read_log(self) -> PushLog:
        """The log as it is now, a command's own; what was read of it before is not read again."""
        self._known = PushLog(self._repository, self._known)
        return self._known

    def _check_copy(self, version: Version, model: Model) -> None:
        """Checks what was copied on this machine's own file systems."""
        if (
            not is_uri(version.location)
            and folder_digest(version.folder) != model.manifest["digest"]
        ):
            raise StepError(
                f"the copy of {model.folder} for {self._repository} is damaged; push again"
            )

    def _check_is_no_version(self) -> None:
        if model_repository.is_complete(self._repository):
            raise SettingsError(f"{self._repository} is a model itself: name the folder above it")

    def _check_exists(self) -> None:
        self._check_is_no_version()
        if not any(model_repository.listed(self._repository)):
            raise SettingsError(f"there is no model at {self._repository}")

    def _warn_of_incomplete(self) -> None:
        for version in model_repository.find_incomplete(self._repository):
            _log.warning("%s holds no complete model and is ignored", version.location)


def facts_of(model: Model) -> dict[str, Any]:
    """What the log's entry of a push says of the model."""
    record = model.manifest.get(PUSHED, {})
    evaluation = record.get("evaluation", {})
    return {
        "digest": model.manifest["digest"],
        "run": record.get(PROVENANCE, {}).get("run"),
        "metrics": evaluation.get("metrics", {}),
        "verdict": {key: evaluation[key] for key in ("blessed", "champion") if key in evaluation},
    }


def check_folder(folder: Path) -> None:
    """Tries whether models could be pushed to a folder, which need not exist yet.

    Raises:
        SettingsError: They could not.
    """
    try:
        check_writable(folder)
    except OSError as error:
        raise SettingsError(
            f"'push.destination': {folder} cannot be written ({os_reason(error)})"
        ) from None


def pushed_version(version: Version) -> PushedVersion:
    """A version of a repository, with its manifest.

    Raises:
        StepError: Its store does not answer.
    """
    location = f"{version.location}/{MANIFEST}"
    manifest: dict[str, Any] = {}
    # Without one, another program put it there.
    with files.clear_errors(f"cannot read {location}", StepError):
        content = files.read_bytes(location) if files.exists(location) else b""
    with contextlib.suppress(StepError):
        manifest = parse_manifest(content, version.location, KIND)
    return PushedVersion(version.number, version.location, manifest)


def _is_same(version: Version, model: Model) -> bool:
    """Whether a version is a model with its proof, unchanged, and signed if the model is.

    If its files have changed since, the model is published again as a new version.
    """
    if pushed_version(version).digest != model.manifest["digest"]:
        return False
    with read_folder(version.location) as folder:
        if folder_digest(folder) != model.manifest["digest"]:
            return False
        is_signed = [(place / SIGNATURE).is_file() for place in (folder, model.folder)]
        if has_digests(folder) and changed_files(folder):
            return False
        return is_signed[0] == is_signed[1]


TARGET = RepositoryTarget
