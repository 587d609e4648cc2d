"""Schedules on a cluster: made or changed in place by name, and compared with the config."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from darkroom.errors import StepError
from pipeline.compiler import compile_pipeline, read_package
from pipeline.config import Config
from pipeline.scheduling.scheduler import Change, difference
from pipeline.target import ClusterClient, Recurrence, Schedule, Target


@dataclasses.dataclass(frozen=True)
class ClusterSchedule:
    """The schedule of a config on a cluster; it has the config's name.

    Attributes:
        cluster: The cluster.
        config: The validated config.
        target: What to compile it for.
    """

    cluster: ClusterClient
    config: Config
    target: Target

    def change(self, recurrence: Recurrence) -> Change:
        """Makes the schedule what the config says; where it is that already, nothing is sent.

        Raises:
            StepError: The cluster refuses, or someone else made a schedule of that name.
        """
        installed = find_schedule(self.cluster, self.config.name)
        with self._package() as package:
            if installed is not None and not self._differs(installed, package, recurrence):
                return "unchanged"
            self.cluster.schedule(package, self.config.name, {}, recurrence)
        return "created" if installed is None else "changed"

    def drift(self, recurrence: Recurrence | None) -> str:
        """What a change would change, as a unified diff; "" if nothing.

        Args:
            recurrence: When it ought to start runs; None to compare only what it runs.

        Raises:
            StepError: There is no such schedule.
        """
        installed = self._installed()
        with self._package() as package:
            return self._differs(installed, package, recurrence)

    def pause(self, paused: bool) -> None:
        """Pauses or resumes the schedule.

        Raises:
            StepError: There is no such schedule.
        """
        self._installed()
        self.cluster.pause(self.config.name, paused)

    def delete(self) -> None:
        """Removes the schedule.

        Raises:
            StepError: There is no such schedule.
        """
        self._installed()
        self.cluster.delete(self.config.name)

    def _differs(self, installed: Schedule, package: Path, recurrence: Recurrence | None) -> str:
        return drift(installed, package, recurrence, self.cluster.run_identity)

    def _installed(self) -> Schedule:
        schedule = find_schedule(self.cluster, self.config.name)
        if schedule is None:
            raise StepError(f"there is no schedule '{self.config.name}': make it with --cron")
        return schedule

    @contextlib.contextmanager
    def _package(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / f"{self.config.name}.yaml"
            compile_pipeline(self.config, self.target, package)
            yield package


def find_schedule(cluster: ClusterClient, name: str) -> Schedule | None:
    """The schedule of a name, if there is one.

    Raises:
        StepError: Someone else made it.
    """
    found = [schedule for schedule in cluster.schedules() if schedule.name == name]
    if found and not any(schedule.managed for schedule in found):
        raise StepError(
            f"a schedule '{name}' is there that Darkroom did not make (id {found[0].id}): "
            "give the config another name, or delete that one where it was made"
        )
    return next((schedule for schedule in found if schedule.managed), None)


def drift(
    installed: Schedule,
    package: Path,
    recurrence: Recurrence | None,
    run_identity: Mapping[str, str],
) -> str:
    """What differs between a schedule and the config, as a unified diff; "" if nothing.

    Args:
        installed: The schedule on the cluster.
        package: The config, compiled.
        recurrence: When it ought to start runs; None to compare only what it runs.
        run_identity: As whom, and where, as far as the settings say.
    """
    where = {key: installed.run_identity.get(key, "") for key in run_identity}
    there = _document(installed.recurrence, installed.arguments, installed.pipeline, where)
    here = _document(recurrence or installed.recurrence, {}, read_package(package), run_identity)
    if there == here:
        return ""
    return difference(*(yaml.safe_dump(text, allow_unicode=True) for text in (there, here)))


def _document(
    recurrence: Recurrence,
    arguments: Mapping[str, Any],
    pipeline: Mapping[str, Any],
    run_identity: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "cron": recurrence.cron,
        "time_zone": recurrence.time_zone,
        "max_concurrency": recurrence.max_concurrency,
        "catch_up": recurrence.catch_up,
        "place": dict(run_identity),
        "arguments": _plain(arguments),
        "pipeline": _plain(pipeline),
    }


def _plain(value: Any) -> Any:
    """The value with whole numbers as such: a cluster's protobuf makes 3.0 of a 3."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
