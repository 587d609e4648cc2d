"""What starts commands by the clock on this machine, as systemd and crontab both do."""

import dataclasses
import difflib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from darkroom.errors import StepError
from pipeline.target import Recurrence

Change = Literal["created", "changed", "unchanged"]
"""What became of a schedule that was to be as the config says."""


@dataclasses.dataclass(frozen=True)
class ScheduleSpec:
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
class InstalledSchedule:
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


class Scheduler(Protocol):
    """What starts commands by the clock here."""

    def text(self, schedule: ScheduleSpec) -> str:
        """All that would be installed, for people to read."""

    def installed(self, name: str) -> str | None:
        """The same of what is installed; None if nothing is."""

    def install(self, schedule: ScheduleSpec) -> None:
        """Installs a schedule, or changes it in place; a paused one stays paused."""

    def pause(self, name: str, paused: bool) -> None:
        """Pauses or resumes a schedule."""

    def delete(self, name: str) -> None:
        """Removes a schedule."""

    def entries(self) -> Sequence[InstalledSchedule]:
        """All of Darkroom's schedules here."""


def difference(installed: str, wanted: str) -> str:
    """Two texts' unified diff; "" if they are equal."""
    lines = difflib.unified_diff(
        installed.splitlines(), wanted.splitlines(), "scheduled", "config", lineterm="", n=2
    )
    return "\n".join(lines)


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
