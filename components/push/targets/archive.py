"""A folder of archives, to be carried to where no push reaches: `flowers-3.tar.gz`, and checksums.

An archive unpacks to `flowers/3/`, which model servers take for version 3 of `flowers`; its
checksum is in `SHA256SUMS`. Numbers, log and rollbacks are those of a model repository; what serves
is what the log says, as nobody watches the folder. An archive that was rolled back has a hidden
name and no checksum.
"""

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.push import changes, completion
from components.push.staging import claimed_number, sweep
from components.push.targets.repository import check_folder, facts_of
from components.push.targets.target import PushedVersion
from darkroom.artifacts.manifest import MANIFEST, file_digest, folder_digest, parse_manifest
from darkroom.artifacts.model import KIND, Model
from darkroom.artifacts.model_repository import Role, folder_name
from darkroom.artifacts.push_log import Entry, PushLog, rolled_back_numbers
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files
from darkroom.storage.atomic import atomic_file, write_text
from darkroom.storage.paths import is_uri

SCHEME = "archive://"
SUMS = "SHA256SUMS"
_ENDING = ".tar.gz"
_HIDDEN = f".{Role.ROLLED_BACK}-"


class ArchiveTarget:
    """A folder of archives on this machine, or a mounted one; made where it is missing.

    Args:
        destination: `archive://FOLDER`; the folder's name is the model's.

    Raises:
        SettingsError: It names no folder here.
    """

    FORM = f"a folder of archives, such as {SCHEME}releases/flowers"
    TAKES_CANARIES = False

    def __init__(self, destination: str) -> None:
        place = destination.removeprefix(SCHEME)
        self._folder = Path(place)
        self._name = self._folder.name
        if is_uri(place) or not self._name:
            raise SettingsError(f"'{destination}' is not {self.FORM}: a path of this machine")

    @classmethod
    def accepts(cls, destination: str) -> bool:
        """By its scheme."""
        return destination.startswith(SCHEME)

    def check(self) -> None:
        """Tries whether the folder can be written; see `PushTarget`."""
        check_folder(self._folder)

    def repository(self) -> None:
        """None: the versions are archives."""

    def publish(self, model: Model, traffic: int = 100) -> PushedVersion:
        """Adds an archive, and its checksum; see `PushTarget`."""
        if traffic < 100:
            raise StepError(f"{SCHEME}{self._folder} takes no canaries: set push.traffic to 100")
        log = PushLog(str(self._folder))
        completion.complete(log)
        self._settle(log)
        current = self.current()
        if current is not None and current.digest == model.manifest["digest"]:
            return current
        sweep(log.repository)
        with claimed_number(log) as number, self._clear_errors():
            self._write(model, number)

            def plan() -> Entry:
                serving = max(number, log.last.serving if log.last else 0)
                return Entry("push", number, serving, **facts_of(model))

            changes.change(log, plan)
        self._settle(log)
        return self._version(number, self._path(number))

    def current(self) -> PushedVersion | None:
        """The version that serves by the log."""
        last = PushLog(str(self._folder)).last
        found = (version for version in self.versions() if last and version.number == last.serving)
        return next(found, None)

    def canary(self) -> None:
        """There is none."""

    def versions(self) -> Sequence[PushedVersion]:
        """The archives that were not rolled back, the newest first."""
        return self._versions(rolled_back=False)

    def rolled_back(self) -> Sequence[PushedVersion]:
        """The others, the newest first."""
        return self._versions(rolled_back=True)

    def traffic(self) -> Mapping[int, int]:
        """All of it for the version that serves."""
        current = self.current()
        return {} if current is None else {current.number: 100}

    def fetch(self, version: PushedVersion, folder: Path) -> None:
        """Unpacks a version's model into a folder; see `PushTarget`."""
        with (
            self._clear_errors(),
            tempfile.TemporaryDirectory(dir=folder.parent) as temporary,  # to rename out of it
            tarfile.open(version.location) as archive,
        ):
            archive.extractall(temporary, filter="data")
            (Path(temporary) / self._name / str(version.number)).rename(folder)
        if version.digest is not None and folder_digest(folder) != version.digest:
            raise StepError(f"{version.location} is damaged: its files have changed")

    def promote(
        self,
        traffic: int = 100,  # noqa: ARG002
        reason: str = "",  # noqa: ARG002
        canary: int | None = None,  # noqa: ARG002
    ) -> Entry:
        """There is nothing to promote."""
        raise StepError(f"{SCHEME}{self._folder} has no canary to promote")

    def rollback(self, to: int | None = None, reason: str = "", canary: int | None = None) -> Entry:
        """Goes back to an earlier archive; see `PushTarget`."""
        if canary is not None:
            raise StepError(f"{SCHEME}{self._folder} has no canary")
        log = self._existing_log()

        def plan() -> Entry:
            serving = log.last.serving if log.last else 0
            there = [version.number for version in self.versions()]
            known = sorted([*there, *(version.number for version in self.rolled_back())])
            earlier = [number for number in there if number < serving]
            if to is not None and to not in known:
                raise StepError(f"{self._folder} has no version {to}; it has {known}")
            if to is None and not earlier:
                raise StepError(f"{self._folder} has no other version: none to go back to")
            target = to if to is not None else earlier[0]
            gone = [number for number in there if number > target]
            highest = max([target, *gone])
            return Entry("rollback", highest, target, rolled_back=gone, reason=reason)

        entry = changes.change(log, plan)
        self._settle(log)
        return entry

    def prune(self, keep: int) -> Sequence[int]:
        """Removes all but the newest archives; see `PushTarget`."""
        log = self._existing_log()
        removed: list[int] = []

        def plan() -> Entry | None:
            serving = log.last.serving if log.last else 0
            there = [version.number for version in (*self.versions(), *self.rolled_back())]
            others = sorted((number for number in there if number != serving), reverse=True)
            removed[:] = sorted(others[max(0, keep - 1) :])
            moves = [(str(number), folder_name(number, Role.PRUNED)) for number in removed]
            return Entry("prune", serving, serving, moves=moves) if removed else None

        if changes.change(log, plan) is not None:
            for number in removed:
                for hidden in (False, True):
                    self._path(number, hidden).unlink(missing_ok=True)
            self._settle(log)
        return removed

    def log(self) -> Sequence[Entry]:
        """What was done here, oldest first."""
        return PushLog(str(self._folder)).entries

    def _existing_log(self) -> PushLog:
        log = PushLog(str(self._folder))
        if log.last is None:
            raise SettingsError(f"there is no model at {SCHEME}{self._folder}")
        return log

    def _path(self, number: int, hidden: bool = False) -> Path:
        return self._folder / f"{_HIDDEN if hidden else ''}{self._name}-{number}{_ENDING}"

    def _write(self, model: Model, number: int) -> None:
        """Writes an archive, the manifest first: versions are told by it, without unpacking all."""
        paths = sorted(path for path in model.folder.rglob("*") if path.is_file())
        paths.sort(key=lambda path: path.name != MANIFEST)
        with atomic_file(self._path(number)) as temporary, tarfile.open(temporary, "w:gz") as file:
            for path in paths:
                inside = path.relative_to(model.folder).as_posix()
                entry = file.gettarinfo(path, f"{self._name}/{number}/{inside}")
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = ""
                with path.open("rb") as content:
                    file.addfile(entry, content)

    def _settle(self, log: PushLog) -> None:
        """Gives archives the names that the log wants, and writes their checksums."""
        log.refresh()
        out = rolled_back_numbers(log.entries)
        with self._clear_errors():
            for number in self._logged(log):
                path = self._path(number, hidden=number not in out)
                if path.is_file():
                    path.rename(self._path(number, hidden=number in out))
            self._write_sums(log)

    def _write_sums(self, log: PushLog) -> None:
        logged = self._logged(log) - rolled_back_numbers(log.entries)
        paths = [self._path(number) for number in sorted(logged) if self._path(number).is_file()]
        known = self._sums()
        sums = {path.name: known.get(path.name) or file_digest(path) for path in paths}
        if sums != known:
            lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
            write_text(self._folder / SUMS, lines)

    def _sums(self) -> dict[str, str]:
        path = self._folder / SUMS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}

    def _logged(self, log: PushLog) -> set[int]:
        return {entry.version for entry in log.entries if entry.action == "push"}

    def _versions(self, rolled_back: bool) -> list[PushedVersion]:
        log = PushLog(str(self._folder))
        out = rolled_back_numbers(log.entries)
        numbers = out if rolled_back else self._logged(log) - out
        found = []
        for number in sorted(numbers, reverse=True):
            # Under the other name where a command was killed.
            paths = (self._path(number, hidden) for hidden in (rolled_back, not rolled_back))
            path = next((path for path in paths if path.is_file()), None)
            if path is not None:
                found.append(self._version(number, path))
        return found

    def _version(self, number: int, path: Path) -> PushedVersion:
        with self._clear_errors(), tarfile.open(path) as archive:
            file = archive.extractfile(f"{self._name}/{number}/{MANIFEST}")
            manifest = parse_manifest(file.read() if file else b"", str(path), KIND)
        return PushedVersion(number, str(path), manifest)

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        with files.clear_errors(f"cannot use {self._folder}", StepError):
            yield


TARGET = ArchiveTarget
