"""Recurring runs by systemd's user timers."""

import configparser
import dataclasses
import os
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline.scheduling.recurrence import parse_cron
from pipeline.scheduling.scheduler import InstalledSchedule, ScheduleSpec, call

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_SERVICE = """\
[Unit]
Description=Darkroom: a run of {name}

[Service]
Type=oneshot
WorkingDirectory={folder}
# Secrets, such as DARKROOM_NOTIFY_WEBHOOK=..., a line each.
EnvironmentFile=-%h/.config/darkroom.env
ExecStart={command}
Nice=10
"""
# systemd leaves sections alone whose names begin with X-.
_TIMER = """\
[Unit]
Description=Darkroom: {name}, {cron}

[Timer]
{calendars}
Persistent={persistent}

[Install]
WantedBy=timers.target

[X-Darkroom]
Cron={cron}
TimeZone={time_zone}
"""


@dataclasses.dataclass(frozen=True)
class Systemd:
    """The timers of a user.

    Attributes:
        folder: Where the user's units are.
    """

    folder: Path

    @classmethod
    def of_user(cls) -> "Systemd":
        """The timers of the user who asks."""
        home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return cls(Path(home) / "systemd" / "user")

    def text(self, schedule: ScheduleSpec) -> str:
        """Both unit files, each below its path."""
        return _joined(self._units(schedule))

    def installed(self, name: str) -> str | None:
        """The unit files that are installed; None if they are not."""
        paths = (self._path(name, "service"), self._path(name, "timer"))
        units = {path: path.read_text(encoding="utf-8") for path in paths if path.exists()}
        return _joined(units) if units else None

    def install(self, schedule: ScheduleSpec) -> None:
        """Writes the units and starts the timer, unless it is paused."""
        paused = self.installed(schedule.name) is not None and self._paused(schedule.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, text in self._units(schedule).items():
            path.write_text(text, encoding="utf-8")
        _systemctl("daemon-reload")
        if not paused:
            # A running timer goes by its former times until it is restarted.
            _systemctl("enable", self._path(schedule.name, "timer").name)
            _systemctl("restart", self._path(schedule.name, "timer").name)

    def pause(self, name: str, paused: bool) -> None:
        """Stops the timer or starts it, now and at the next login."""
        _systemctl("disable" if paused else "enable", "--now", self._path(name, "timer").name)

    def delete(self, name: str) -> None:
        """Stops the timer and removes the units; a run in progress is not stopped."""
        self.pause(name, paused=True)
        for kind in ("timer", "service"):
            self._path(name, kind).unlink(missing_ok=True)
        _systemctl("daemon-reload")

    def entries(self) -> Sequence[InstalledSchedule]:
        """The timers that Darkroom made."""
        entries = []
        for path in sorted(self.folder.glob("darkroom-*.timer")):
            # Keys may come again, as OnCalendar does.
            unit = configparser.RawConfigParser(strict=False)
            unit.read(path, encoding="utf-8")
            name = path.stem.removeprefix("darkroom-")
            cron, zone = unit["X-Darkroom"]["Cron"], unit["X-Darkroom"]["TimeZone"]
            entries.append(InstalledSchedule(name, cron, zone, self._paused(name)))
        return entries

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / f"darkroom-{name}.{kind}"

    def _paused(self, name: str) -> bool:
        # Its exit code says it too, and is no failure.
        command = ["systemctl", "--user", "is-enabled", self._path(name, "timer").name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() != "enabled"

    def _units(self, schedule: ScheduleSpec) -> dict[Path, str]:
        service = _SERVICE.format(
            name=schedule.name,
            folder=str(schedule.folder).replace("%", "%%"),
            command=" ".join(_quoted(part) for part in schedule.command),
        )
        calendars = on_calendar(schedule.recurrence.cron, schedule.time_zone)
        timer = _TIMER.format(
            name=schedule.name,
            cron=schedule.recurrence.cron,
            calendars="\n".join(f"OnCalendar={calendar}" for calendar in calendars),
            persistent=str(schedule.recurrence.catch_up).lower(),
            time_zone=schedule.time_zone or "",
        )
        return {
            self._path(schedule.name, "service"): service,
            self._path(schedule.name, "timer"): timer,
        }


def on_calendar(cron: str, time_zone: str | None = None) -> list[str]:
    """A cron as systemd's calendar events, any of which starts a run.

    They are two where the cron names days of the month and of the week: cron takes either,
    and one event of systemd asks for both.
    """
    fields = parse_cron(cron)
    days = _listed(fields.days, range(1, 32))
    weekdays = sorted({day % 7 for day in fields.weekdays if isinstance(day, int)})
    week = "" if len(weekdays) == 7 else ",".join(_DAYS[day] for day in weekdays) + " "
    month = _listed(fields.months, range(1, 13))
    clock = f"{_listed(fields.hours, range(24))}:{_listed(fields.minutes, range(60))}:00"
    zone = f" {time_zone}" if time_zone else ""
    if fields.day_and:
        return [f"{week}*-{month}-{days} {clock}{zone}"]
    return [f"*-{month}-{days} {clock}{zone}", f"{week}*-{month}-* {clock}{zone}"]


def _listed(values: Collection[int], all_values: Collection[int]) -> str:
    if set(values) >= set(all_values):
        return "*"
    return ",".join(f"{value:02d}" for value in sorted(values))


def _quoted(argument: str) -> str:
    """One argument of ExecStart, whose % and $ mean themselves."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if set(escaped) & set(" \t'\";\\") or not escaped else escaped


def _joined(units: dict[Path, str]) -> str:
    return "\n".join(f"# {path}\n{text}" for path, text in units.items())


def _systemctl(*arguments: str) -> None:
    call("systemctl", "--user", *arguments)
