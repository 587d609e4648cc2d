"""Whether a run is due."""

import dataclasses
import datetime

from pipeline.settings.resources import seconds
from pipeline.settings.trigger import TriggerSettings
from pipeline.triggers.claims import ABANDONED_AFTER, RunClaim


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a run starts, and why or why not.

    Attributes:
        due: Whether it does.
        reason: In words.
    """

    due: bool
    reason: str


def decide(
    settings: TriggerSettings,
    new_photographs: int,
    last: RunClaim | None,
    now: datetime.datetime,
    quality: str = "",
) -> Decision:
    """Decides whether a run is due.

    Args:
        settings: The config's `trigger`.
        new_photographs: Photographs that came or changed since the last start.
        last: The last start, if any.
        now: The time.
        quality: What is wrong with the model in production, in words; "" if nothing is known.
    """
    if last is not None:
        interval = datetime.timedelta(seconds=seconds(settings.minimum_interval))
        said = f"the last run started less than {settings.minimum_interval} ago"
        if not last.run:
            interval = ABANDONED_AFTER
            said = (
                f"a trigger is starting a run since {_utc(last.time)}, and no cluster has answered"
            )
        next_time = last.time + interval
        if now < next_time:
            return Decision(False, f"{said}; the next may at {_utc(next_time)}")
    if quality:
        return Decision(True, quality)
    said = f"{new_photographs:,} new photographs"
    if new_photographs < settings.minimum_new_photographs:
        return Decision(False, f"{said}, and {settings.minimum_new_photographs:,} are needed")
    return Decision(True, said)


def _utc(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
