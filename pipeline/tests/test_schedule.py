"""When schedules fire, and what becomes of one on a cluster."""

import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from darkroom.errors import SettingsError, StepError
from pipeline.compiler import read_package
from pipeline.config import Config, load_config
from pipeline.scheduling.cluster_schedule import ClusterSchedule
from pipeline.scheduling.recurrence import checked_recurrence, next_runs
from pipeline.target import Recurrence, Schedule
from pipeline.targets import cluster_target

ROOT = Path(__file__).parent.parent.parent
WEEKLY = Recurrence("0 3 * * 1")


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("0 0 30 2 *", "never fires: no month of it has such a day"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 31 FEB */2", "never fires"),
        ("0 0 32 * *", "bad day-of-month"),
        ("60 * * * *", "bad minute"),
        ("0 3 * * 8", "bad day-of-week"),
        ("* * * *", "expected five fields"),
        ("0 0 3 * * 1", "expected five fields"),
        ("@daily", "expected five fields"),
        ("0 0 L * *", "expected five fields"),
        ("0 0 * * MON#1", "expected five fields"),
        ("", "expected five fields"),
    ],
)
def test_a_cron_that_cannot_be_is_refused(cron: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as raised:
        checked_recurrence(cron)
    assert str(raised.value).startswith(f"--cron '{cron}'")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("cron", ["0 0 29 2 *", "0 0 31 2 1", "*/5 8-18/2 * jan-mar mon-fri"])
def test_a_cron_that_fires_at_all_is_taken(cron: str) -> None:
    assert checked_recurrence(f" {cron}  ").cron == cron


def test_time_zones_are_by_their_names() -> None:
    for wrong in ("Europe/Zürich", "MEZ", "", "../UTC", "/etc/passwd"):
        with pytest.raises(SettingsError, match="there is none of that name"):
            checked_recurrence("0 3 * * 1", wrong)
    with pytest.raises(SettingsError, match="must be at least 1"):
        checked_recurrence("0 3 * * 1", "Europe/Zurich", 0)


def test_the_next_times_follow_the_time_zone() -> None:
    import zoneinfo

    zurich = zoneinfo.ZoneInfo("Europe/Zurich")
    before_summer_time = datetime.datetime(2026, 3, 28, 12, tzinfo=zurich)
    assert next_runs("0 4 * * *", before_summer_time, 1) == ["Sun 2026-03-29 04:00 CEST"]


class MemoryCluster:
    """The schedules of a cluster, kept as a cluster keeps them: whole numbers become floats."""

    run_identity: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.kept: dict[str, Schedule] = {}

    def schedules(self) -> list[Schedule]:
        return list(self.kept.values())

    def schedule(
        self, package: Path, name: str, arguments: Mapping[str, Any], recurrence: Recurrence
    ) -> Schedule:
        self.calls.append("schedule")
        pipeline = _with_floats(read_package(package))
        self.kept[name] = Schedule("7", name, recurrence, False, pipeline, arguments, True)
        return self.kept[name]

    def pause(self, name: str, paused: bool) -> None:
        self.kept[name] = dataclasses.replace(self.kept[name], paused=paused)

    def delete(self, name: str) -> None:
        del self.kept[name]


def _with_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def config(*settings: str) -> Config:
    return load_config(str(ROOT / "configs" / "digits.yaml"), overrides=settings)


def test_a_schedule_is_made_once_and_changed_in_place() -> None:
    cluster: Any = MemoryCluster()
    schedule = ClusterSchedule(cluster, config(), cluster_target("kfp"))
    assert schedule.change(WEEKLY) == "created"
    assert schedule.change(WEEKLY) == "unchanged"
    assert cluster.calls == ["schedule"]
    assert schedule.change(Recurrence("0 4 * * 1")) == "changed"
    assert ClusterSchedule(cluster, config("train.epochs=13"), cluster_target("kfp")).change(
        Recurrence("0 4 * * 1")
    ) == ("changed")
    assert len(cluster.kept) == 1
    schedule.pause(True)
    assert cluster.kept["digits"].paused
    schedule.delete()
    assert not cluster.kept


def test_drift_shows_what_differs_and_changes_nothing() -> None:
    cluster: Any = MemoryCluster()
    ClusterSchedule(cluster, config(), cluster_target("kfp")).change(WEEKLY)
    cluster.calls.clear()
    assert ClusterSchedule(cluster, config(), cluster_target("kfp")).drift(None) == ""
    assert ClusterSchedule(cluster, config(), cluster_target("kfp")).drift(WEEKLY) == ""
    changed = ClusterSchedule(cluster, config("train.epochs=13"), cluster_target("kfp")).drift(
        Recurrence("0 3 * * 1", "Europe/Zurich", catch_up=True)
    )
    lines = changed.splitlines()
    assert {"-time_zone: UTC", "+time_zone: Europe/Zurich", "+catch_up: true"} <= set(lines)
    assert [line.split() for line in lines if "epochs" in line and line[0] in "+-"] == [
        ["-", "epochs:", "12"],
        ["+", "epochs:", "13"],
    ]
    assert cluster.calls == []


def test_what_someone_else_made_is_left_alone() -> None:
    cluster: Any = MemoryCluster()
    theirs = Schedule("3", "digits", WEEKLY, False, {}, {}, managed=False)
    cluster.kept["digits"] = theirs
    schedule = ClusterSchedule(cluster, config(), cluster_target("kfp"))
    actions = [
        lambda: schedule.change(WEEKLY),
        lambda: schedule.drift(None),
        lambda: schedule.pause(True),
        schedule.delete,
    ]
    for action in actions:
        with pytest.raises(StepError, match=r"that Darkroom did not make \(id 3\)"):
            action()
    assert cluster.kept == {"digits": theirs}


def test_a_schedule_that_is_not_there_is_named() -> None:
    schedule = ClusterSchedule(cast(Any, MemoryCluster()), config(), cluster_target("kfp"))
    for action in (lambda: schedule.drift(None), lambda: schedule.pause(True), schedule.delete):
        with pytest.raises(StepError, match="there is no schedule 'digits': make it with --cron"):
            action()
