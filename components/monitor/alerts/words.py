"""What an alert says, in one plain line."""

import datetime
import json
import re
from collections.abc import Callable
from typing import NamedTuple

EMBEDDING = "embedding"
"""The test of embeddings, which looks at ranks along a direction."""


class Changed(NamedTuple):
    """A share that has changed.

    Attributes:
        test: The name of its test.
        before: The share before; None if that is not known.
        after: The share since; None if that is not known.
        low: The lower end of the 95 % interval of `after`, by Wilson; None without photographs.
        high: Its upper end.
        photographs: Those since.
        since: When the window begins since which it has likely been so, ISO 8601.
        window: That window.
        log_e_value: The natural logarithm of the evidence.
    """

    test: str
    before: float | None
    after: float | None
    low: float | None
    high: float | None
    photographs: int
    since: str
    window: int
    log_e_value: float

    def in_words(self) -> str:
        """The change in one line."""
        if self.test == EMBEDDING:
            return (
                f"photographs look different since {day(self.since)}: a mean rank of "
                f"{self.after:.3f}, where {self.before:.3f} is as before"
            )
        what, unit = _of_test(self.test)
        of = f", of {self.photographs} photographs" if self.photographs else ""
        interval = ""
        if self.low is not None and self.high is not None:
            interval = f" ({unit(self.low)} to {unit(self.high)}{of})"
        if self.before is None or self.after is None:
            return f"{what}: changed since {day(self.since)}{interval or of}"
        return (
            f"{what}: {unit(self.before)} before, {unit(self.after)} since "
            f"{day(self.since)}{interval}"
        )


def _of_test(test: str) -> tuple[str, Callable[[float], str]]:
    """What a test looks at, in words, and how its values are written."""
    if test.split(" ")[0] == "accuracy":
        return of_slice(test), "{:.3f}".format
    if match := re.fullmatch(r"(\w+)<(.+)", test):
        return f"photographs with {match[1]} below {match[2]}", _percent
    if match := re.fullmatch(r"(\w+)=(.+)", test, re.DOTALL):
        what = "answered with" if match[1] == "label" else f"with {match[1]}"
        return f"photographs {what} {match[2]}", _percent
    return test, "{:.3f}".format


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def of_slice(subject: str) -> str:
    """A metric and its slice in words.

    >>> of_slice('accuracy {"camera": "2", "label": "roses"}')
    'accuracy of camera 2, label roses'
    """
    metric, _, name = subject.partition(" ")
    if not name:
        return metric
    values = json.loads(name)
    return f"{metric} of " + ", ".join(f"{column} {value}" for column, value in values.items())


def day(time: str) -> str:
    """A time as people read it: without what is 0.

    >>> day("2023-11-18T00:00:00.000+00:00"), day("2023-11-18T07:30:12.500+00:00")
    ('2023-11-18', '2023-11-18 07:30')
    """
    return time[:10] if time[11:16] in ("", "00:00") else f"{time[:10]} {time[11:16]}"


def text_of(seconds: float) -> str:
    """A time as ISO 8601, of UTC."""
    time = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return time.isoformat(timespec="milliseconds")


def how_long(seconds: float) -> str:
    """A length of time as people say it.

    >>> how_long(7200), how_long(36 * 3600), how_long(5 * 86400)
    ('2 hours', '36 hours', '5 days')
    """
    hours = seconds / 3600
    return f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
