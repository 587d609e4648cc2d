"""Damping: whatever is seen, in whichever order, nobody is told the same twice."""

import contextlib
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from components.monitor.alerts.alert import open_alerts, read_alerts
from components.monitor.alerts.damping import Episode, Look, present_episode
from components.monitor.alerts.update import update_alerts
from components.monitor.tests.alert_world import DAY, add_window, alert_settings, database
from darkroom.anytime import Interval

FLAGS = st.lists(st.booleans(), max_size=40)
FEW = st.integers(1, 4)


def looks(flags: Sequence[bool]) -> list[Look]:
    """A share that is another one in the windows with a flag; it is evident from the first on."""
    first = list(flags).index(True) if True in flags else len(flags)
    return [
        Look(place, place >= first, first, 0.4 if flag else 0.2, Interval(0.1, 0.3))
        for place, flag in enumerate(flags)
    ]


def over_time(flags: Sequence[bool], lasting: int, quiet: int) -> list[Episode | None]:
    """What is known after each window."""
    seen = looks(flags)
    return [present_episode(seen[:end], lasting, quiet) for end in range(1, len(seen) + 1)]


@given(FLAGS, FEW, FEW)
def test_an_episode_ends_only_after_so_many_quiet_windows(
    flags: list[bool], lasting: int, quiet: int
) -> None:
    known = [None, *over_time(flags, lasting, quiet)]
    for place, (before, after) in enumerate(itertools.pairwise(known)):
        if before is not None and after is None:
            assert not any(flags[place - quiet + 1 : place + 1])
        if before is None and after is not None:
            assert after == Episode(place, place)
            assert flags[place]
        if before is not None and after is not None:
            assert after.opened == before.opened


@given(FLAGS, FEW, FEW)
def test_it_goes_on_while_there_are_fewer_quiet_windows(
    flags: list[bool], lasting: int, quiet: int
) -> None:
    known = over_time(flags, lasting, quiet)
    for place, episode in enumerate(known):
        if episode is not None:
            assert any(flags[max(0, place - quiet + 1) : place + 1])
            assert flags[episode.seen]
            assert not any(flags[episode.seen + 1 : place + 1])


@given(FLAGS, FEW)
def test_what_has_not_lasted_is_none(flags: list[bool], quiet: int) -> None:
    first = flags.index(True) if True in flags else len(flags)
    for place, episode in enumerate(over_time(flags, 3, quiet)):
        assert episode is None or place >= first + 2


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.9]), max_size=20), FEW, FEW)
def test_without_evidence_there_is_none(values: list[float], lasting: int, quiet: int) -> None:
    none = [Look(at, False, 0, value, Interval(0.1, 0.3)) for at, value in enumerate(values)]
    assert present_episode(none, lasting, quiet) is None


def test_a_change_that_returns_is_seen_and_a_new_one_is_another() -> None:
    def seen(values: Sequence[float], since: int, normal: Interval) -> list[Look]:
        return [Look(0, True, since, value, normal) for value in values]

    around = Interval(0.1, 0.3)
    life = [*seen([0.4, 0.4], 0, around), *seen([0.2] * 3, 0, around)]
    # The mean since the change is near the quiet windows by now: the old one decides.
    narrow = Interval(0.15, 0.25)
    slight = [*life, *seen([0.28], 0, narrow)]
    new = [*life, *seen([0.28], 9, narrow)]
    again = [*life, *seen([0.4], 0, narrow)]
    found = []
    for each in (life, slight, new, again):
        numbered = [look._replace(window=place) for place, look in enumerate(each)]
        numbered = [
            look._replace(since=look.window) if look.since == 9 else look for look in numbered
        ]
        found.append(present_episode(numbered, 1, 3))
    assert found == [None, None, Episode(5, 5), Episode(5, 5)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=14), st.data())
def test_alerts_are_the_same_however_often_one_looks(
    flags: list[bool], data: st.DataObject
) -> None:
    """Looked at on some days, twice, by a clock that may be wrong: one row, told once."""
    asked = alert_settings(drift_windows=2, quiet_windows=2, again="30d", no_traffic=None)
    since = flags.index(True) if True in flags else 0
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2)]
        often, once = (stack.enter_context(database(Path(folder))) for folder in folders)
        for day, flag in enumerate(flags):
            share = 0.4 if flag else 0.2
            for connection in (often, once):
                add_window(connection, day, share, alarm=day >= since and any(flags), since=since)
            if data.draw(st.booleans()):
                now = (day + 1 + data.draw(st.integers(-3, 3))) * DAY
                update_alerts(often, asked, now)
                assert update_alerts(often, asked, now) == []
                assert len(open_alerts(often)) <= 1
        for connection in (often, once):
            update_alerts(connection, asked, (len(flags) + 1) * DAY)
        assert len(read_alerts(often)) <= 1
        assert [alert.message for alert in open_alerts(often)] == [
            alert.message for alert in open_alerts(once)
        ]
