"""What the page says of values, windows, times, tests, alerts and what happened."""

import datetime
import json
import math
from typing import Literal

from components.monitor.page.events import Mark
from components.monitor.windows.history import Window

_SPACE = "\N{NO-BREAK SPACE}"
Unit = Literal["figure", "share", "hours", "count"]
KINDS = {
    "floor": "Under the floor",
    "fall": "Has fallen",
    "drift": "Has changed",
    "no_traffic": "No traffic",
    "labels_stopped": "Labels have stopped",
}
_HAPPENED = {
    "pushed": "pushed",
    "canary": "answers as canary",
    "promoted": "promoted",
    "rolled_back": "rolled back",
    "retraining": "retraining",
}


def in_unit(value: float | None, unit: Unit) -> str:
    """A value as people read it.

    >>> in_unit(1234, "count"), in_unit(0.5, "figure"), in_unit(50, "hours").split()
    ('1,234', '0.500', ['2.1', 'days'])
    >>> in_unit(0.1, "hours").split()
    ['6', 'min']
    """
    if value is None:
        return "\N{EN DASH}"
    if unit == "share":
        return f"{100 * value:.0f}{_SPACE}%"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "hours":
        if value < 1:
            return f"{60 * value:.0f}{_SPACE}min"
        return f"{value:.1f}{_SPACE}h" if value < 48 else f"{value / 24:.1f}{_SPACE}days"
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def window_in_words(window: Window, size: str | int | None) -> str:
    """A window as people call it, in UTC.

    Args:
        window: The window.
        size: That of windows, as the settings have it.
    """
    if not isinstance(size, str):
        first = window.figures["first"][:16].replace("T", " ")
        return f"window {window.window + 1}, from {first}"
    begin = datetime.datetime.fromtimestamp(window.window, datetime.UTC)
    if size == "hour":
        return f"{begin:%Y-%m-%d %H:%M}"
    return f"week of {begin:%Y-%m-%d}" if size == "week" else f"{begin:%Y-%m-%d}"


def when(seconds: float) -> str:
    """A time, in UTC.

    >>> when(1_700_006_460)
    '2023-11-15 00:01'
    """
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M}"


def evidence(log_e_value: float) -> str:
    """How many times better a change explains what was counted.

    >>> evidence(math.log(30)), evidence(math.log(4e8)), evidence(-2.0)
    ('30', '400 million', 'none')
    """
    if log_e_value <= 0:
        return "none"
    if log_e_value > math.log(1e12):
        return "over 10\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}"
    value = math.exp(log_e_value)
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if value >= size:
            return f"{value / size:,.0f}{name}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def tested_in_words(test: str) -> str:
    """What a test looks at.

    >>> tested_in_words("label=roses"), tested_in_words("brightness<96")
    ('answers “roses”', 'brightness below 96')
    >>> tested_in_words('accuracy {"label": "roses"}'), tested_in_words("embedding")
    ('accuracy of label=roses', 'embedding')
    """
    name, _, of = test.partition(" ")
    if of.startswith("{"):
        return f"{name} of {_slice(of)}"
    name, is_value, value = test.partition("=")
    if is_value and name == "label":
        return f"answers \N{LEFT DOUBLE QUOTATION MARK}{value}\N{RIGHT DOUBLE QUOTATION MARK}"
    if is_value:
        return f"{name.replace('_', ' ')} {value}"
    name, is_cut, cut = test.partition("<")
    return f"{name.replace('_', ' ')} below {cut}" if is_cut else name.replace("_", " ")


def happened(mark: Mark) -> str:
    """What happened, without its text.

    >>> happened(Mark(0, "rolled_back", "3", ""))
    'version 3 rolled back'
    """
    what = _HAPPENED.get(mark.kind, mark.kind.replace("_", " "))
    return f"version {mark.version} {what}" if mark.version else what


def slice_in_words(name: str) -> str:
    """A slice as people read it.

    >>> slice_in_words('{"camera": "2", "label": "roses"}')
    'camera=2, label=roses'
    """
    values = json.loads(name)
    return ", ".join(f"{column}={value}" for column, value in values.items()) or "all photographs"


def _slice(name: str) -> str:
    try:
        return slice_in_words(name)
    except (ValueError, AttributeError):
        return name
