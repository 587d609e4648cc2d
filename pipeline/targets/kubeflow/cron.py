"""A recurrence in the words of Kubeflow's controller, which reads cron with robfig/cron 1.2.

That has six fields, of which the first is seconds; Sunday is 0 and never 7; and there is one time
zone for the whole cluster (CRON_SCHEDULE_TIMEZONE), none in the text.
"""

import datetime
import zoneinfo

from darkroom.errors import SettingsError
from pipeline.target import Recurrence

MAX_CONCURRENCY = 10
"""More runs at a time than these the server refuses."""
_YEARS = 5


def kubeflow_cron(recurrence: Recurrence, cluster_zone: str) -> str:
    """The recurrence's cron in six fields.

    Args:
        recurrence: Five fields, and a time zone.
        cluster_zone: The cluster's time zone.

    Raises:
        SettingsError: Kubeflow cannot do it.
    """
    fields = recurrence.cron.split()
    if len(fields) != 5:
        raise SettingsError(
            f"--cron '{recurrence.cron}': expected five fields: minute hour day month weekday"
        )
    if not 1 <= recurrence.max_concurrency <= MAX_CONCURRENCY:
        raise SettingsError(
            f"--max-concurrency {recurrence.max_concurrency}: Kubeflow takes 1 to {MAX_CONCURRENCY}"
        )
    if not _same_clock(recurrence.time_zone, cluster_zone):
        raise SettingsError(
            f"--time-zone {recurrence.time_zone}: all schedules of a Kubeflow run in one zone, "
            f"this cluster's is {cluster_zone} (cluster.kfp.time_zone); give the cron in that, or "
            "set CRON_SCHEDULE_TIMEZONE of its ml-pipeline-scheduledworkflow, and the setting again"
        )
    *others, weekday = fields
    return " ".join(["0", *others, ",".join(_weekday(part) for part in weekday.split(","))])


def five_fields(cron: str) -> str:
    """A cron of Kubeflow's in five fields, or as it stands where it goes by seconds."""
    seconds, _, others = cron.partition(" ")
    return others if seconds == "0" else cron


def _weekday(part: str) -> str:
    """A part of the last field, without the 7 that Sunday may be in other crons."""
    days, slash, step = part.partition("/")
    first, dash, last = days.partition("-")
    if "7" not in (first, last):
        return part
    if not dash:
        return f"0{slash}{step}"
    if first == "7":
        return f"0-{last}{slash}{step}" if last != "7" else "0"
    if not first.isdigit():
        raise SettingsError(f"--cron: write the weekdays '{part}' with one kind of name")
    return ",".join(str(day % 7) for day in range(int(first), 8, int(step or 1)))


def _same_clock(zone: str, other: str) -> bool:
    """Whether two zones show the same time, today and in the years to come."""
    if zone == other:
        return True
    try:
        one, two = zoneinfo.ZoneInfo(zone), zoneinfo.ZoneInfo(other)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"no time zone is called '{zone}', or none '{other}'; give one such as Europe/Zurich"
        ) from None
    today = datetime.datetime.now(datetime.UTC)
    days = (today + datetime.timedelta(days=day) for day in range(366 * _YEARS))
    return all(day.astimezone(one).utcoffset() == day.astimezone(two).utcoffset() for day in days)
