"""Damping: what is seen, window by window, as an episode that begins once and ends once."""

import bisect
from collections.abc import Iterable
from typing import NamedTuple

from darkroom.anytime import Interval


class Look(NamedTuple):
    """What is known after a window in which there was something to see.

    Attributes:
        window: The window.
        speaks: Whether the evidence so far is enough, and the difference large enough, to alarm.
        since: The window since which it has likely been so.
        value: The window's own value; None where it has none, and the evidence alone decides.
        normal: Values that are as before, nearer to before than to after. Evidence of a change
            does not go when the change does; the window's own value says that it has gone.
    """

    window: int
    speaks: bool
    since: int
    value: float | None
    normal: Interval


class Episode(NamedTuple):
    """A time in which something is wrong.

    Attributes:
        opened: The window that it was seen in first.
        seen: The window that it was seen in last.
    """

    opened: int
    seen: int


def present_episode(looks: Iterable[Look], lasting: int, quiet: int) -> Episode | None:
    """The episode that has not ended by the last look; None if there is none.

    It is a function of the looks alone: whoever looks after each window, or once after all of them,
    comes to the same.

    Args:
        looks: In the order of their windows.
        lasting: Windows that it must have lasted, counted from `since`.
        quiet: Windows in a row without a sign of it that end it.

    A share of 0.2 that was 0.4 for one window: that is no episode if it must last two.

    >>> def look(window, value):
    ...     return Look(window, window >= 5, 5, value, Interval(0.1, 0.3))
    >>> present_episode([look(4, 0.2), look(5, 0.4)], lasting=2, quiet=3) is None
    True
    >>> present_episode([look(4, 0.2), look(5, 0.4), look(6, 0.4)], lasting=2, quiet=3)
    Episode(opened=6, seen=6)
    """
    windows: list[int] = []
    episode: Episode | None = None
    normal: Interval | None = None
    """As before the last episode."""
    ended, calm = 0, 0
    for look in looks:
        windows.append(look.window)
        # A change that has come after an episode has ended is another one.
        same = normal is not None and (episode is not None or look.since <= ended)
        known = normal if same and normal is not None else look.normal
        seen = look.speaks and (look.value is None or not _within(look.value, known))
        if episode is None:
            if seen and len(windows) - bisect.bisect_left(windows, look.since) >= lasting:
                episode, normal, calm = Episode(look.window, look.window), known, 0
        elif seen:
            episode, calm = episode._replace(seen=look.window), 0
        else:
            calm += 1
            if calm == quiet:
                episode, ended = None, look.window
    return episode


def _within(value: float, interval: Interval) -> bool:
    return interval.low <= value <= interval.high
