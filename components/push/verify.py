"""Replays a version's proof: on its own files, and against any server that is to serve it."""

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.push.doors.addresses import doors_of
from components.push.doors.compare import Comparison, compare
from components.push.doors.plain_tensorflow import PlainTensorflow
from components.push.targets import target_for
from components.push.targets.repository import RepositoryTarget, pushed_version
from components.push.targets.target import PushedVersion, PushTarget
from darkroom.artifacts import proof
from darkroom.artifacts.model_repository import own_version
from darkroom.artifacts.proof import Proof
from darkroom.artifacts.signature import check_signature
from darkroom.errors import SettingsError, StepError
from darkroom.storage.folders import read_folder


def verify_files(place: str, public_key: Path | None = None) -> Sequence[Comparison]:
    """Checks a version's digests, and that plain TensorFlow gives its answers.

    Args:
        place: A version's folder, or where models are pushed: then the version that serves.
        public_key: File of the key that must have signed it, if any must.

    Raises:
        SettingsError: There is no version.
        StepError: It has no proof, or its files are not what they were.
    """
    with _files(*_serving(place)) as folder:
        changed = proof.changed_files(folder)
        if changed:
            names = changed[0] + (f" and {len(changed) - 1} more" if len(changed) > 1 else "")
            raise StepError(f"{place} was changed since it was pushed: {names}")
        if public_key is not None:
            check_signature(folder, public_key)
        read = proof.read_proof(folder)
        with PlainTensorflow(folder) as process:
            found = [compare(door, lambda _: read, read) for door in process.doors]
    return [each for each in found if each is not None]


def verify_server(address: str, place: str, public_key: Path | None = None) -> Sequence[Comparison]:
    """Sends a version's proof to a server, through every door that its address has.

    Args:
        address: The server's, as `doors_of` takes it.
        place: Where the proof is: a version's folder, or where models are pushed. There the answers
            are held to the proof of the version that the server says has given them.
        public_key: File of the key that must have signed each version whose proof is taken, if any
            must.

    Raises:
        SettingsError: The address has no known form, or there is no version.
        StepError: The version has no proof, or the server speaks none of the protocols.
    """
    target, serving = _serving(place)
    photographs = _proof(target, serving, public_key)

    @functools.cache
    def proof_of(number: int | None) -> Proof:
        if number is None or number == serving.number:
            return photographs
        for version in _versions(place):
            if version.number == number:
                return _proof(target, version, public_key)
        raise StepError(f"version {number} answers at {address}, which is not at {place}")

    found = []
    for door in doors_of(address):
        with contextlib.closing(door):
            found.append(compare(door, proof_of, photographs))
    present = [each for each in found if each is not None]
    if not present:
        raise StepError(f"{address} speaks neither TF Serving's gRPC nor KServe's V2")
    return present


def _proof(target: PushTarget, version: PushedVersion, public_key: Path | None) -> Proof:
    with _files(target, version) as folder:
        if public_key is not None:
            check_signature(folder, public_key)
        return proof.read_proof(folder)


def _serving(place: str) -> tuple[PushTarget, PushedVersion]:
    """The version that a place is, or the one that serves there, and its target."""
    place = place.rstrip("/") or place
    if RepositoryTarget.accepts(place) and (itself := own_version(place)) is not None:
        return RepositoryTarget(place), pushed_version(itself)
    target = target_for(place)
    current = target.current()
    if current is None:
        raise SettingsError(f"there is no model at {place}")
    return target, current


@contextlib.contextmanager
def _files(target: PushTarget, version: PushedVersion) -> Iterator[Path]:
    """A version's files on this machine: its own, or a copy of them while it is used."""
    if own_version(version.location) is not None:
        with read_folder(version.location) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        target.fetch(version, Path(temporary) / "version")
        yield Path(temporary) / "version"


def _versions(place: str) -> Iterator[PushedVersion]:
    """All versions that may answer where a place's are served."""
    target = target_for(place)
    canary = target.canary()
    yield from (*target.versions(), *([canary] if canary else []), *target.rolled_back())
