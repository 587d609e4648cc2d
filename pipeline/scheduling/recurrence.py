"""When a schedule starts runs: five cron fields and a time zone, checked before anyone is asked."""

import datetime
import re
import zoneinfo
from typing import TYPE_CHECKING

from darkroom.errors import SettingsError
from pipeline.target import Recurrence

if TYPE_CHECKING:
    from cronsim import CronSim

# Kubeflow, Vertex, systemd and crontab agree on these; `L`, `#` and `@daily` only some know.
_FIELD = r"[0-9A-Z*,/-]+"
_CRON = re.compile(rf"{_FIELD}( {_FIELD}){{4}}", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+")
_NAME = re.compile(r"SUN|MON|TUE|WED|THU|FRI|SAT|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC")
_ANY_TIME = datetime.datetime(2026, 1, 1)


def checked_recurrence(
    cron: str, time_zone: str = "UTC", max_concurrency: int = 1, catch_up: bool = False
) -> Recurrence:
    """A recurrence that will fire.

    Args:
        cron: Five fields: minute, hour, day of month, month, day of week.
        time_zone: An IANA name.
        max_concurrency: Runs of it at a time.
        catch_up: Whether runs missed while it was paused are made up for.

    Raises:
        SettingsError: The cron cannot be read or never fires, there is no such time zone, or no
            run may be.
    """
    cron = " ".join(cron.split())
    parse_cron(cron)
    try:
        zoneinfo.ZoneInfo(time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"--time-zone {time_zone}: there is none of that name; give one such as Europe/Zurich"
        ) from None
    if max_concurrency < 1:
        raise SettingsError(f"--max-concurrency {max_concurrency}: must be at least 1")
    return Recurrence(cron, time_zone, max_concurrency, catch_up)


def next_runs(cron: str, now: datetime.datetime, count: int = 3) -> list[str]:
    """The next times a cron fires after a moment, in that one's time zone, for people to read."""
    from cronsim import CronSim

    times = CronSim(cron, now)
    return [next(times).strftime("%a %Y-%m-%d %H:%M %Z") for _ in range(count)]


def parse_cron(cron: str) -> "CronSim":
    """A cron's fields as sets: `minutes`, `hours`, `days`, `months`, `weekdays` (0 or 7: Sunday).

    Raises:
        SettingsError: It cannot be read, or never fires.
    """
    from cronsim import CronSim, CronSimError

    words = _WORD.findall(cron.upper())
    if not _CRON.fullmatch(cron) or not all(_NAME.fullmatch(word) for word in words):
        raise SettingsError(
            f"--cron '{cron}': expected five fields (minute hour day month weekday) of numbers, "
            "names, * , - and /, such as '0 3 * * 1'"
        )
    try:
        return CronSim(cron, _ANY_TIME)
    except CronSimError as error:
        minute, hour, _, month, weekday = cron.split()
        if _day_alone_is_wrong(cron, f"{minute} {hour} * {month} {weekday}"):
            raise SettingsError(
                f"--cron '{cron}' never fires: no month of it has such a day"
            ) from None
        raise SettingsError(f"--cron '{cron}': {str(error).lower()}") from None


def _day_alone_is_wrong(cron: str, without_day: str) -> bool:
    """Whether each field can be read, and only the day is in no month."""
    from cronsim import CronSim, CronSimError

    try:
        CronSim(without_day, _ANY_TIME)
        CronSim(f"0 0 {cron.split()[2]} * *", _ANY_TIME)
    except CronSimError:
        return False
    return True
