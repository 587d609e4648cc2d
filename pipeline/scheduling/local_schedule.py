"""Recurring runs on this machine: by systemd's timers or, where it does not run, by crontab."""

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from darkroom.errors import SettingsError, StepError
from pipeline.scheduling.drift import Change, difference
from pipeline.targets.client import Recurrence


@dataclasses.dataclass(frozen=True)
class LocalSchedule:
    """What is to run here, and when.

    Attributes:
        name: The config's name.
        command: The command line of a run.
        folder: Where it is run.
        recurrence: When.
        time_zone: The recurrence's time zone if one was asked for; None for the machine's own.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    recurrence: Recurrence
    time_zone: str | None


@dataclasses.dataclass(frozen=True)
class LocalEntry:
    """A schedule that stands on this machine.

    Attributes:
        name: Its config's name.
        cron: When it starts runs.
        time_zone: In which time zone, or "" for the machine's own.
        paused: Whether it is paused.
    """

    name: str
    cron: str
    time_zone: str
    paused: bool


class Timekeeper(Protocol):
    """What starts commands by the clock here."""

    def text(self, schedule: LocalSchedule) -> str:
        """All that would be installed, for people to read."""

    def standing(self, name: str) -> str | None:
        """The same of what is installed; None if nothing is."""

    def install(self, schedule: LocalSchedule) -> None:
        """Installs a schedule, or changes it in place; a paused one stays paused."""

    def pause(self, name: str, paused: bool) -> None:
        """Pauses a schedule, or lets it go on."""

    def delete(self, name: str) -> None:
        """Removes a schedule."""

    def entries(self) -> Sequence[LocalEntry]:
        """All of Darkroom's schedules here."""


def timekeeper() -> Timekeeper:
    """What this machine has: systemd where it runs, else crontab where there is one."""
    from pipeline.scheduling.crontab import Crontab
    from pipeline.scheduling.systemd import Systemd

    # The mark of a machine that systemd started, by sd_booted(3).
    if not Path("/run/systemd/system").is_dir() and shutil.which("crontab"):
        return Crontab()
    return Systemd.of_user()


@dataclasses.dataclass(frozen=True)
class ScheduleHere:
    """The schedule of a config on this machine.

    Attributes:
        keeper: What starts it.
        name: The config's name.
        arguments: Those of `darkroom run`.
        time_zone: The time zone that was asked for; None for the machine's own.
    """

    keeper: Timekeeper
    name: str
    arguments: tuple[str, ...]
    time_zone: str | None

    def text(self, recurrence: Recurrence) -> str:
        """All that a change would install."""
        return self.keeper.text(self._wanted(recurrence))

    def change(self, recurrence: Recurrence) -> Change:
        """Installs the schedule, or changes it in place, or leaves it as it is."""
        wanted = self._wanted(recurrence)
        standing = self.keeper.standing(self.name)
        if standing == self.keeper.text(wanted):
            return "unchanged"
        self.keeper.install(wanted)
        return "created" if standing is None else "changed"

    def drift(self, recurrence: Recurrence | None) -> str:
        """What a change would change, as a unified diff; "" if nothing.

        Raises:
            SettingsError: No recurrence is given.
            StepError: There is no such schedule.
        """
        if recurrence is None:
            raise SettingsError("--diff on this machine compares with a --cron: give it too")
        return difference(self._standing(), self.text(recurrence))

    def pause(self, paused: bool) -> None:
        """Pauses the schedule, or lets it go on.

        Raises:
            StepError: There is no such schedule.
        """
        self._standing()
        self.keeper.pause(self.name, paused)

    def delete(self) -> None:
        """Removes the schedule.

        Raises:
            StepError: There is no such schedule.
        """
        self._standing()
        self.keeper.delete(self.name)

    def _standing(self) -> str:
        standing = self.keeper.standing(self.name)
        if standing is None:
            raise StepError(
                f"no schedule '{self.name}' is installed here: make it with --cron and --install"
            )
        return standing

    def _wanted(self, recurrence: Recurrence) -> LocalSchedule:
        if recurrence.max_concurrency != 1:
            raise SettingsError(
                f"--max-concurrency {recurrence.max_concurrency}: on this machine a run never "
                "starts while the one before is going; leave it out"
            )
        command = (sys.executable, "-m", "pipeline.cli.main", "run", *self.arguments)
        return LocalSchedule(self.name, command, Path.cwd(), recurrence, self.time_zone)


def call(*command: str, given: str | None = None) -> str:
    """What a command of this machine prints.

    Args:
        *command: The command.
        given: Its standard input.

    Raises:
        StepError: It is not there, or fails; with its own words.
    """
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise StepError(
            f"{command[0]} is not there: neither systemd nor cron can be used"
        ) from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        raise StepError(f"{' '.join(command)}: {said[-1] if said else 'failed'}") from None
    return done.stdout
