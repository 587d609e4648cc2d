"""What opens an alert, what closes it, and what it says."""

import json
import sqlite3
import threading
from pathlib import Path

import pytest

from components.monitor.alerts import update
from components.monitor.alerts.alert import Alert, open_alerts, read_alerts
from components.monitor.alerts.answering import acknowledge, alerts_table, mute, unmute
from components.monitor.alerts.settings import AlertSettings
from components.monitor.alerts.update import update_alerts
from components.monitor.monitor import watch
from components.monitor.settings import MonitorSettings
from components.monitor.state import database as state
from components.monitor.tests.alert_world import (
    DAY,
    add_answers,
    add_labels,
    add_metric,
    add_window,
    alert_settings,
    database,
)
from components.monitor.tests.small_world import DAY as SECONDS
from components.monitor.tests.small_world import (
    START,
    days,
    drawn,
    reference,
    settings,
    write_labels,
    write_samples,
)
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings


def open_ones(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return [(alert.kind, alert.subject) for alert in open_alerts(connection)]


def words(alerts: list[Alert]) -> list[tuple[str, str, bool]]:
    return [(alert.kind, alert.subject, alert.closed is None) for alert in alerts]


@pytest.mark.slow
def test_a_watched_model_alarms_says_what_of_and_is_quiet_again(tmp_path: Path) -> None:
    more = [drawn(200, seed, shares=(0.1, 0.1, 0.8)) for seed in (8, 9)]
    worse = [drawn(200, seed, skill=1.0) for seed in (18, 19)]
    good = [drawn(200, seed) for seed in range(20, 24)]
    samples, labels = days([*(drawn(200, seed) for seed in range(3)), *more, *worse, *good])
    floors = {"accuracy": {"at_least": 0.85, "every_slice_at_least": 0.8}}
    asked = settings(tmp_path, alerts={"floors": floors})
    seen = {}
    for day in (3, 5, 7, 11):
        write_samples(tmp_path, samples[: day * 200])
        write_labels(tmp_path / "labels.csv", dict(enumerate(labels[: day * 200])))
        run = (asked, tmp_path / "monitor.db", {"1": reference()}, START + day * SECONDS)
        seen[day] = watch(*run).alerts
        assert watch(*run).alerts == []
    assert seen[3] == []
    (drift,) = seen[5]
    assert (drift.kind, drift.subject, drift.window) == ("drift", "label", START + 4 * SECONDS)
    assert drift.message.startswith("photographs answered with tulips: ")
    assert " since 2023-11-18 (" in drift.message
    assert drift.message.endswith(" of 400 photographs); and 2 more of label")
    figures = drift.figures
    assert figures["low"] < figures["after"] < figures["high"]
    assert {each["test"] for each in figures["tests"]} >= {"label=tulips"}
    assert {sample["given"] for sample in figures["samples"]} == {"tulips"}
    found = words(seen[7])
    assert ("fall", "accuracy", True) in found
    assert ("floor", "accuracy", True) in found
    assert ("fall", 'accuracy {"label": "roses"}', True) in found
    roses = next(alert for alert in seen[7] if alert.subject == 'accuracy {"label": "roses"}')
    assert roses.message.startswith("accuracy of label roses: 0.9")
    assert roses.message.endswith("; a fall of 0.03 is let pass")
    for sample in roses.figures["samples"]:
        assert sample["label"] == "roses" != sample["given"]
    assert all(alert.closed is not None for alert in seen[11])
    assert {alert.figures["closed_because"] for alert in seen[11]} == {"it is no longer so"}


@pytest.mark.slow
def test_an_alert_stays_while_what_it_is_held_against_is_gone(tmp_path: Path) -> None:
    changed = [drawn(200, seed, shares=(0.1, 0.1, 0.8)) for seed in (8, 9)]
    samples, labels = days([*(drawn(200, seed) for seed in range(3)), *changed])
    write_samples(tmp_path, samples)
    database, now = tmp_path / "monitor.db", START + 5 * SECONDS
    write_labels(tmp_path / "labels.csv", {})
    (drift,) = watch(settings(tmp_path), database, {"1": reference()}, now).alerts
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    for known in ({}, {"1": reference()}):
        assert watch(settings(tmp_path), database, known, now).alerts == []
        with state.opened(database) as connection:
            assert [alert.id for alert in open_alerts(connection)] == [drift.id]


def test_a_small_difference_alarms_nobody_however_sure_it_is(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        for day in range(4):
            add_window(connection, day, 0.23, levels=(0.2, 0.23))
        assert update_alerts(connection, alert_settings(drift_difference=0.05), 4 * DAY) == []
        assert update_alerts(connection, alert_settings(drift_windows=None), 4 * DAY) == []
        assert len(update_alerts(connection, alert_settings(drift_difference=0.03), 4 * DAY)) == 1


def test_what_a_window_has_not_seen_neither_opens_nor_closes(tmp_path: Path) -> None:
    asked = alert_settings(quiet_windows=1, no_traffic=None)
    with database(tmp_path) as connection:
        add_window(connection, 0, 0.4)
        add_window(connection, 1, None)
        assert update_alerts(connection, asked, 2 * DAY) == []
        add_window(connection, 2, 0.4)
        assert len(update_alerts(connection, asked, 3 * DAY)) == 1
        # A day without answers has no window at all, and day 5 saw nothing of it.
        add_window(connection, 5, None)
        assert update_alerts(connection, asked, 6 * DAY) == []
        add_window(connection, 6, 0.2)
        (closed,) = update_alerts(connection, asked, 7 * DAY)
        assert closed.closed == 7 * DAY


def test_an_embedding_alarms_without_counts(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        for day, rank in enumerate((0.7, None, 0.66)):
            add_window(connection, day, None, test="embedding", levels=(0.5, rank))
        connection.execute("DELETE FROM shares")
        (alert,) = update_alerts(connection, alert_settings(), 3 * DAY)
        assert (alert.subject, alert.window) == ("embedding", 2 * DAY)
        assert alert.message == (
            "photographs look different since 1970-01-01: a mean rank of 0.660, where 0.500 is as "
            "before"
        )


def test_a_floor_of_a_slice_is_told_and_one_that_is_kept_to_is_not(tmp_path: Path) -> None:
    name = '{"camera": "left"}'
    floors = {"accuracy": {"at_least": 0.8, "every_slice_at_least": 0.8}}
    asked = alert_settings(floors=floors, drift_windows=None, falls={})
    with database(tmp_path) as connection:
        for day in range(3):
            add_window(connection, day, 0.2)
            add_metric(connection, day, 0.81, 1000)
            add_metric(connection, day, 0.6, 100, name)
        (alert,) = update_alerts(connection, asked, 3 * DAY)
        assert (alert.kind, alert.subject) == ("floor", f"accuracy {name}")
        assert alert.message == (
            "accuracy of camera left: 0.600 since 1970-01-01 (0.544 to 0.654, of 300 photographs), "
            "below the floor of 0.8"
        )
        (closed,) = update_alerts(connection, alert_settings(), 3 * DAY)
        assert closed.closed is not None


def test_traffic_that_stops_and_comes_back(tmp_path: Path) -> None:
    asked = alert_settings(drift_windows=None)
    with database(tmp_path) as connection:
        for day in (0, 1, 2, 5, 6, 9, 10):  # three days of rest are usual
            add_window(connection, day, 0.2)
        last = 10 * DAY + 60
        assert update_alerts(connection, asked, last + 5 * DAY) == []
        (alert,) = update_alerts(connection, asked, last + 6 * DAY + 1)
        assert alert.message == "no answers since 1970-01-11 00:01; 6 days without any are let pass"
        # A clock that goes back, and answers of a clock that is ahead, say nothing new.
        add_answers(connection, [400 * DAY])
        (closed,) = update_alerts(connection, asked, 3 * DAY)
        assert closed.closed == alert.opened
        (again,) = update_alerts(connection, asked, last + 7 * DAY)
        assert (again.id, again.closed, again.opened) == (alert.id, None, alert.opened)
        add_window(connection, 17, 0.2)
        (closed,) = update_alerts(connection, asked, 17 * DAY + 120)
        assert closed.id == alert.id
        assert update_alerts(connection, alert_settings(no_traffic="12h"), 17 * DAY + 120) == []
        (soon,) = update_alerts(connection, alert_settings(no_traffic="12h"), 18 * DAY)
        assert (soon.id, open_ones(connection)) == (alert.id, [("no_traffic", "")])


def test_a_model_that_has_hardly_begun_may_be_silent(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        assert update_alerts(connection, alert_settings(), 0) == []
        add_window(connection, 0, 0.2)
        add_window(connection, 1, 0.2)
        assert update_alerts(connection, alert_settings(), 20 * DAY) == []
        assert update_alerts(connection, alert_settings(no_traffic=None), 20 * DAY) == []
        assert len(update_alerts(connection, alert_settings(no_traffic="7d"), 20 * DAY)) == 1


def test_labels_that_used_to_come_and_stop(tmp_path: Path) -> None:
    asked = alert_settings(drift_windows=None)
    with database(tmp_path) as connection:
        for day in range(12):
            add_window(connection, day, 0.2)
        assert update_alerts(connection, asked, 12 * DAY) == []  # there never were any
        add_labels(connection, [2 * DAY])
        assert update_alerts(connection, asked, 12 * DAY) == []  # a table that came once
        add_labels(connection, [3.5 * DAY, 5 * DAY])
        (alert,) = update_alerts(connection, asked, 12 * DAY)
        assert (alert.kind, alert.version) == ("labels_stopped", "1")
        assert alert.message == (
            "no new labels since 1970-01-06; 3 days without any are let pass; photographs "
            "answered since: 7"
        )
        # A new version is no new alert.
        for day in range(12, 16):
            add_answers(connection, [day * DAY + 1.0], "2")
        assert update_alerts(connection, asked, 16 * DAY) == []
        add_labels(connection, [15.5 * DAY])
        (closed,) = update_alerts(connection, asked, 16 * DAY)
        assert closed.closed is not None


def test_a_version_that_another_one_takes_over_is_at_rest(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        for day in range(3):
            add_window(connection, day, 0.4)
        assert len(update_alerts(connection, alert_settings(), 3 * DAY)) == 1
        # Both answer, the old one seldom: it goes on.
        for day in (3, 4):
            add_window(connection, day, 0.2, alarm=False, version="2")
        assert update_alerts(connection, alert_settings(), 5 * DAY) == []
        add_window(connection, 5, 0.2, alarm=False, version="2")
        (closed,) = update_alerts(connection, alert_settings(), 6 * DAY)
        assert closed.figures["closed_because"] == "version 2 answers in place of version 1"
        assert update_alerts(connection, alert_settings(), 6 * DAY) == []
        # Rolled back: it is the same alert.
        add_window(connection, 9, 0.4)
        (again,) = update_alerts(connection, alert_settings(), 10 * DAY)
        assert (again.id, again.closed) == (closed.id, None)
        assert "closed_because" not in again.figures


def test_a_version_that_another_was_promoted_over_ends_at_once(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        for day in range(3):
            add_window(connection, day, 0.4)
        assert len(update_alerts(connection, alert_settings(), 3 * DAY)) == 1
        promoted = 2 * DAY + 1000.0
        # The server follows, and for some seconds the old version still answers.
        add_answers(connection, [promoted + 5], "1")
        add_answers(connection, [promoted + 10 + second for second in range(99)], "2")
        connection.execute("INSERT INTO marks VALUES (?, 'promoted', '2', '')", (promoted,))
        assert update_alerts(connection, alert_settings(), 3 * DAY) == []
        add_answers(connection, [promoted + 200], "2")
        (closed,) = update_alerts(connection, alert_settings(), 3 * DAY)
        assert closed.figures["closed_because"] == "version 2 answers in place of version 1"
        # Rolled back: it answers again, and it is the same alert.
        add_window(connection, 3, 0.4)
        (again,) = update_alerts(connection, alert_settings(), 4 * DAY)
        assert (again.id, again.closed) == (closed.id, None)


def test_a_run_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with database(tmp_path) as connection:
        for day in range(2):
            add_window(connection, day, 0.4)
            add_window(connection, day, 0.4, version="2")
        with monkeypatch.context() as patch:
            patch.setattr(update, "worst_photographs", broken)
            with pytest.raises(KeyboardInterrupt):
                update_alerts(connection, alert_settings(), 2 * DAY)
        assert read_alerts(connection) == []
        assert len(update_alerts(connection, alert_settings(), 2 * DAY)) == 2


def test_a_database_that_is_locked_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_WAIT", 0.05)
    with database(tmp_path) as connection:
        for day in range(2):
            add_window(connection, day, 0.4)
    other = sqlite3.connect(tmp_path / "monitor.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(StepError, match="another process is writing"),
        database(tmp_path) as connection,
    ):
        update_alerts(connection, alert_settings(), 2 * DAY)
    other.execute("ROLLBACK")
    other.close()
    with database(tmp_path) as connection:
        assert len(update_alerts(connection, alert_settings(), 2 * DAY)) == 1


def test_two_monitors_open_one_alert(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        for day in range(2):
            add_window(connection, day, 0.4)
    found: list[Alert] = []

    def run() -> None:
        with database(tmp_path) as own:
            found.extend(update_alerts(own, alert_settings(), 2 * DAY))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_people_answer_alerts(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        assert alerts_table(connection, 0) == "no open alerts"
        for day in range(2):
            add_window(connection, day, 0.4)
        (alert,) = update_alerts(connection, alert_settings(), 2 * DAY)
        header, line = alerts_table(connection, 2 * DAY).splitlines()
        assert header.split()[:3] == ["number", "opened", "version"]
        assert line.split("  ")[0] == "1"
        assert "not told yet" in line
        assert line.endswith(alert.message)
        mute(connection, "drift", "label", 9 * DAY)
        assert "muted until 1970-01-10" in alerts_table(connection, 2 * DAY)
        assert "not told yet" in alerts_table(connection, 9 * DAY)
        mute(connection, "drift", "lebal", 9 * DAY)
        assert alerts_table(connection, 2 * DAY).splitlines()[2:] == [
            "muted until 1970-01-10: drift:label",
            "muted until 1970-01-10: drift:lebal; no open alert is of lebal",
        ]
        assert unmute(connection, "drift", "lebal")
        assert unmute(connection, "drift", "label")
        assert not unmute(connection, "drift", "label")
        assert acknowledge(connection, alert.id, "Ann", 5.0).acknowledged_by == "Ann"
        assert acknowledge(connection, alert.id, "Ben", 6.0).acknowledged_by == "Ann"
        assert "seen by Ann" in alerts_table(connection, 2 * DAY)
        with pytest.raises(SettingsError, match="no alert has the number 7; open: 1"):
            acknowledge(connection, 7, "Ann")
        with pytest.raises(SettingsError, match="is no kind of alert; did you mean 'drift'"):
            mute(connection, "drfit", "", 9.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"floors": {"macro_f1": 0.9}}, "'macro_f1' has no floor here"),
        ({"floors": {"accuracy": 1.5}}, "less than 1"),
        ({"floors": {"accuracy": {}}}, "a floor needs at_least or every_slice_at_least"),
        ({"falls": {"macro_f1": 0.1}}, "falls are told of accuracy alone"),
        ({"drift_windos": 3}, "did you mean 'drift_windows'"),
        ({"no_traffic": "soon"}, "no_traffic"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], message: str) -> None:
    given = {"state": "s", "predictions": ["p"], "alerts": values}
    with pytest.raises(SettingsError) as raised:
        validate_settings(MonitorSettings, given, "monitor")
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_by_default_there_are_alerts() -> None:
    by_default = AlertSettings()
    assert (by_default.drift_windows, by_default.floors) == (2, {})
    assert (by_default.no_traffic, by_default.labels_stopped) == ("auto", "auto")
    assert json.loads(by_default.model_dump_json())["falls"] == {"accuracy": 0.03}
