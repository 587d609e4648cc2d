"""Recurring runs by crontab, where no systemd runs."""

import dataclasses
import re
import shlex
import subprocess
from collections.abc import Sequence

from darkroom.errors import SettingsError
from pipeline.scheduling.scheduler import InstalledSchedule, ScheduleSpec, call

_PAUSED = "#paused# "
_ENTRY = re.compile(
    rf"(?P<paused>{_PAUSED})?(?P<cron>(?:\S+ ){{5}}).* # darkroom-(?P<name>[a-z0-9-]+)"
)


@dataclasses.dataclass(frozen=True)
class Crontab:
    """The crontab of the user; a line of it is ours by the comment at its end."""

    def text(self, schedule: ScheduleSpec) -> str:
        """The crontab's line.

        Raises:
            SettingsError: It asks for what crontab does not know.
        """
        if schedule.time_zone is not None:
            raise SettingsError(
                "--time-zone: crontab knows only the machine's own; leave it out, or use systemd"
            )
        if schedule.recurrence.catch_up:
            raise SettingsError("--catch-up: crontab does not; leave it out, or use systemd")
        mark = f"darkroom-{schedule.name}"
        command = shlex.join(["flock", "--nonblock", f".{mark}.lock", *schedule.command])
        line = f"cd {shlex.quote(str(schedule.folder))} && {command} >> {mark}.log 2>&1 # {mark}"
        # To cron an unescaped % is the end of the line.
        return f"{schedule.recurrence.cron} " + line.replace("%", "\\%")

    def installed(self, name: str) -> str | None:
        """The line that stands, as if it were not paused."""
        line = self._lines().get(name)
        return line.removeprefix(_PAUSED) if line is not None else None

    def install(self, schedule: ScheduleSpec) -> None:
        """Adds the line or changes it; a paused one stays paused."""
        installed = self._lines().get(schedule.name, "")
        prefix = _PAUSED if installed.startswith(_PAUSED) else ""
        self._write(schedule.name, prefix + self.text(schedule))

    def pause(self, name: str, paused: bool) -> None:
        """Makes the line a comment, or a line again."""
        line = self._lines()[name].removeprefix(_PAUSED)
        self._write(name, (_PAUSED if paused else "") + line)

    def delete(self, name: str) -> None:
        """Removes the line."""
        self._write(name, None)

    def entries(self) -> Sequence[InstalledSchedule]:
        """The lines that Darkroom made."""
        matches = [_ENTRY.fullmatch(line) for line in self._lines().values()]
        return [
            InstalledSchedule(match["name"], match["cron"].strip(), "", match["paused"] is not None)
            for match in matches
            if match
        ]

    def _lines(self) -> dict[str, str]:
        matches = [_ENTRY.fullmatch(line) for line in _crontab().splitlines()]
        return {match["name"]: match[0] for match in matches if match}

    def _write(self, name: str, line: str | None) -> None:
        """Puts a line in the place of the one of that name, or at the end."""
        lines = _crontab().splitlines()
        ours = [
            i for i, text in enumerate(lines) if (m := _ENTRY.fullmatch(text)) and m["name"] == name
        ]
        place = ours[0] if ours else len(lines)
        lines[place : place + len(ours)] = [line] if line is not None else []
        call("crontab", "-", given="".join(f"{text}\n" for text in lines))


def _crontab() -> str:
    # A user without a crontab is an error to it.
    done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
