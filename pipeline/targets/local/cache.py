"""The cache of local steps: kfp's, keyed on content.

kfp's own keys are the artifacts' paths. Here a step's key is what its outcome follows from: the
digests in its input artifacts' manifests, the photographs, its settings and the content of the
files they name, its component's code, and the installed packages.
"""

import dataclasses
import hashlib
import importlib.machinery
import json
import logging
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.artifacts.code_digest import code_digest
from darkroom.artifacts.manifest import (
    MANIFEST,
    artifact_digest,
    content_digest,
    named_files,
    read_manifest,
)
from darkroom.artifacts.model_repository import Version, is_whole
from darkroom.errors import DarkroomError, StepError
from darkroom.runtime.step_record import read_step_records, write_cached_record
from darkroom.storage.atomic import write_json
from pipeline.steps import step_named, step_names
from pipeline.targets.local.data_version import data_version
from pipeline.targets.local.kfp_patches import LocalCache
from pipeline.targets.local.stored_state import StoredState

UNKNOWN = ""
"""The key of a step whose outcome does not follow from what is known: it always runs."""

_OWN_CODE = re.compile(r"([A-Za-z_]\w*)(\.\w+)*:[A-Za-z_]\w*")

_log = logging.getLogger("darkroom")

OnCached = Callable[[str, str], None]
"""Called with a step and the run in which it ran."""


class ContentCache(LocalCache):  # type: ignore[misc]
    """The cache of a folder of runs.

    Args:
        root: Where its entries are; they name artifacts in the runs' folders.
        folder: The run's folder, which gets what is taken over.
        reads: Whether known outcomes are taken over; new ones are kept either way.
        on_cached: Told about each step that is not run.
    """

    def __init__(self, root: Path, folder: Path, reads: bool, on_cached: OnCached) -> None:
        super().__init__(str(root))
        self._folder, self._reads, self._on_cached = folder, reads, on_cached
        self._asked: tuple[str, Mapping[str, Any]] = ("", {})
        self._key = UNKNOWN

    def compute_key(
        self,
        component_name: str,  # noqa: ARG002
        image: str,  # noqa: ARG002
        full_command: Sequence[str],
        arguments: Mapping[str, Any],
        env_vars: Mapping[str, str] | None = None,  # noqa: ARG002
        custom_cache_key: str | None = None,  # noqa: ARG002
    ) -> str:
        """The key of a step with its arguments; images matter only on a cluster."""
        self._asked = full_command[-1], arguments  # --function_to_execute NAME
        self._key = _key(*self._asked)
        return self._key

    def get(self, key: str) -> dict[str, Any] | None:
        """A known outcome, its artifacts linked into this run's folder; None to run the step."""
        started = time.time()
        if not (key and self._reads):
            return None
        try:
            entry = json.loads(Path(self._entry_path(key)).read_text(encoding="utf-8"))
            if (damaged := _damaged(entry)) is not None:
                _log.warning("%s has changed since it was made: made again", damaged)
                return None
            if not _serves(entry):
                return None
            paths = self._taken_over(entry)
        except (OSError, ValueError, KeyError, DarkroomError):
            return None
        step = entry["journal"]
        write_cached_record(
            self._folder / "journal", step | {"artifacts": paths}, time.time() - started
        )
        self._on_cached(step["name"], step["run"])
        for name, path in paths.items():
            entry["outputs"][name]["uri"] = path
            # Links have the inodes of before; copies have others.
            entry["states"][name] = dataclasses.asdict(StoredState.of(Path(path)))
        # Should the run that it is from be deleted, this one has it still.
        write_json(Path(self._entry_path(key)), entry)
        outputs: dict[str, Any] = self._deserialize_outputs(entry["outputs"])
        return outputs

    def put(self, key: str, outputs: Mapping[str, Any]) -> None:
        """Keeps the outcome of a step that has run, if it is of what its key was of."""
        if not key or (key == self._key and _key(*self._asked) != key):
            return  # a file has changed while the step worked
        ran = read_step_records(self._folder / "journal")[-1]
        document = {
            "journal": ran | {"run": self._folder.name},
            "outputs": self._serialize_outputs(outputs),
            "states": {
                name: dataclasses.asdict(StoredState.of(Path(ran["artifacts"][name])))
                for name in outputs
                if name in ran["artifacts"]
            },
        }
        write_json(Path(self._entry_path(key)), document)
        self._attempt.unlink(missing_ok=True)

    def begin(self, outputs: Mapping[str, str]) -> None:
        """Notes that the step whose key was asked for last begins.

        What an attempt that did not end left unfinished, a training's checkpoint or a study, is
        put where this one looks for it.

        Args:
            outputs: Where it is to write its artifacts, by name.
        """
        if not self._key:
            return
        if self._reads and self._attempt.exists():
            for name, left in json.loads(self._attempt.read_text(encoding="utf-8")).items():
                unfinished = Path(left).is_dir() and not (Path(left) / MANIFEST).exists()
                if unfinished and name in outputs:
                    shutil.copytree(left, outputs[name], dirs_exist_ok=True)
        write_json(self._attempt, outputs)

    @property
    def _attempt(self) -> Path:
        return Path(self.cache_root) / f"{self._key}.attempt.json"

    def _taken_over(self, entry: Mapping[str, Any]) -> dict[str, str]:
        """The artifacts, within this run's folder: links, that take no room."""
        name = entry["journal"]["name"]
        paths: dict[str, str] = {}
        for artifact in entry["states"]:
            source = Path(entry["outputs"][artifact]["uri"])
            target = self._folder / "cached" / name / artifact
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, copy_function=_link)
            else:
                _link(str(source), str(target))
            paths[artifact] = str(target)
        return paths


def _key(step: str, arguments: Mapping[str, Any]) -> str:
    if step not in step_names() or step_named(step).cluster_only or step_named(step).always_runs:
        return UNKNOWN
    try:
        known = {
            "step": step,
            "code": code_digest(step_named(step).module),
            "packages": _packages(),
            "arguments": {name: _content(name, value) for name, value in arguments.items()},
        }
        if "data" in arguments:
            known["data"] = data_version(arguments["data"], arguments["settings"])
    except (DarkroomError, OSError):  # the step itself says what is wrong
        return UNKNOWN
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _content(name: str, value: Any) -> Any:
    """What an argument is, with the content of what it names."""
    if hasattr(value, "uri"):
        path = Path(value.uri)
        digest = content_digest(path) if path.is_file() else artifact_digest(path)
        if digest is None:
            raise StepError(f"{value.uri} has no digest")
        return digest
    if name == "data":
        return value
    files = {key: content_digest(path) for key, path in named_files(value)}
    return [value, files, dict(_own_code(value))]


def _damaged(entry: Mapping[str, Any]) -> Path | None:
    """The first artifact that is not what it was, or is gone."""
    for name, state in entry["states"].items():
        path = Path(entry["outputs"][name]["uri"])
        if not StoredState.from_json(state).stands(path):
            return path
    return None


def _serves(entry: Mapping[str, Any]) -> bool:
    """Whether a pushed model, where the step pushed one, is what serves, whole."""
    if "pushed" not in entry["states"]:
        return True
    from components.push.targets import target_for

    pushed = read_manifest(Path(entry["outputs"]["pushed"]["uri"]), "pushed")
    current = target_for(pushed["destination"]).current()
    if current is None or (current.location, current.digest) != (pushed["path"], pushed["digest"]):
        return False
    folder = Path(current.location)
    return not folder.is_dir() or is_whole(Version(current.number, current.location))


def _packages() -> list[str]:
    """Python's version and the installed packages with theirs."""
    folders = [Path(folder) for folder in sys.path if folder]
    names = {path.name for folder in folders for path in folder.glob("*.dist-info")}
    return [platform.python_version(), *sorted(names)]


def _own_code(value: Any) -> Iterator[tuple[str, str]]:
    """Digests of the users' own modules that settings name as `module:function`."""
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _own_code(inner)
    elif isinstance(value, str) and (match := _OWN_CODE.fullmatch(value)):
        spec = importlib.machinery.PathFinder.find_spec(match[1])
        if spec is not None and spec.origin is not None:
            # A module may import those beside it, a package those below it.
            files = Path(spec.origin).parent.glob(
                "**/*.py" if spec.submodule_search_locations else "*.py"
            )
            for file in sorted(files):
                yield str(file), content_digest(file)


def _link(source: str, target: str) -> None:
    """Links a file, or copies it where the file system has no links; nothing changes artifacts."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
