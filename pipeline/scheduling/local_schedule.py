"""Recurring runs on this machine: by systemd's timers or, where it does not run, by crontab."""

import dataclasses
import shutil
import sys
from pathlib import Path

from darkroom.errors import SettingsError, StepError
from pipeline.scheduling.scheduler import Change, Scheduler, ScheduleSpec, difference
from pipeline.target import Recurrence


def local_scheduler() -> Scheduler:
    """What this machine has: systemd where it runs, else crontab where there is one."""
    from pipeline.scheduling.crontab import Crontab
    from pipeline.scheduling.systemd import Systemd

    # The mark of a machine that systemd started, by sd_booted(3).
    if not Path("/run/systemd/system").is_dir() and shutil.which("crontab"):
        return Crontab()
    return Systemd.of_user()


@dataclasses.dataclass(frozen=True)
class ConfigSchedule:
    """The schedule of a config on this machine.

    Attributes:
        keeper: What starts it.
        name: The config's name.
        arguments: Those of `darkroom`.
        time_zone: The time zone that was asked for; None for the machine's own.
    """

    scheduler: Scheduler
    name: str
    arguments: tuple[str, ...]
    time_zone: str | None

    def text(self, recurrence: Recurrence) -> str:
        """All that a change would install."""
        return self.scheduler.text(self._wanted(recurrence))

    def change(self, recurrence: Recurrence) -> Change:
        """Installs the schedule, or changes it in place, or leaves it as it is."""
        wanted = self._wanted(recurrence)
        installed = self.scheduler.installed(self.name)
        if installed == self.scheduler.text(wanted):
            return "unchanged"
        self.scheduler.install(wanted)
        return "created" if installed is None else "changed"

    def drift(self, recurrence: Recurrence | None) -> str:
        """What a change would change, as a unified diff; "" if nothing.

        Raises:
            SettingsError: No recurrence is given.
            StepError: There is no such schedule.
        """
        if recurrence is None:
            raise SettingsError("--diff on this machine compares with a --cron: give it too")
        return difference(self._installed(), self.text(recurrence))

    def pause(self, paused: bool) -> None:
        """Pauses or resumes the schedule.

        Raises:
            StepError: There is no such schedule.
        """
        self._installed()
        self.scheduler.pause(self.name, paused)

    def delete(self) -> None:
        """Removes the schedule.

        Raises:
            StepError: There is no such schedule.
        """
        self._installed()
        self.scheduler.delete(self.name)

    def _installed(self) -> str:
        installed = self.scheduler.installed(self.name)
        if installed is None:
            raise StepError(
                f"no schedule '{self.name}' is installed here: make it with --cron and --install"
            )
        return installed

    def _wanted(self, recurrence: Recurrence) -> ScheduleSpec:
        if recurrence.max_concurrency != 1:
            raise SettingsError(
                f"--max-concurrency {recurrence.max_concurrency}: on this machine a run never "
                "starts while the one before is going; leave it out"
            )
        command = (sys.executable, "-m", "pipeline.cli.main", *self.arguments)
        return ScheduleSpec(self.name, command, Path.cwd(), recurrence, self.time_zone)
