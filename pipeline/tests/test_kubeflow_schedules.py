"""Schedules on Kubeflow: changed in place by an API that has no call for it."""

import re
from pathlib import Path

import pytest

from darkroom.errors import SettingsError, StepError
from pipeline.compiler import read_package
from pipeline.settings.cluster import KubeflowSettings
from pipeline.target import Recurrence, Schedule
from pipeline.targets.kubeflow.client import Kubeflow
from pipeline.targets.kubeflow.cron import five_fields, kubeflow_cron
from pipeline.tests.kubeflow_server import KubeflowServer

MONDAYS = Recurrence("0 3 * * 1")
TUESDAYS = Recurrence("0 3 * * 2", max_concurrency=2, catch_up=True)
CREATE = "POST /apis/v2beta1/recurringruns"


def made(kubeflow: Kubeflow, package: Path, recurrence: Recurrence = MONDAYS) -> Schedule:
    return kubeflow.schedule(package, "digits", {"data": "/gcs/digits"}, recurrence)


def test_a_schedule_is_made_once(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    schedule = made(kubeflow, kfp_package)
    (body,) = server.recurring.values()
    assert body["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (body["mode"], body["no_catchup"], body["max_concurrency"]) == ("ENABLE", True, "1")
    assert made(kubeflow, kfp_package) == schedule
    assert server.asked.count(CREATE) == 1

    (listed,) = kubeflow.schedules()
    assert listed == schedule
    assert listed.recurrence == MONDAYS
    assert listed.managed
    assert not listed.paused
    assert listed.pipeline == read_package(kfp_package)
    assert listed.arguments == {"data": "/gcs/digits"}


def test_a_changed_schedule_takes_the_old_one_s_place(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    first = made(kubeflow, kfp_package)
    second = made(kubeflow, kfp_package, TUESDAYS)
    assert list(server.recurring) == [second.id]
    assert second.id != first.id
    assert second.recurrence == TUESDAYS
    # In any other way the runs at work would go with it.
    assert server.deletions == [{"propagation_policy": "ORPHAN"}]


def test_a_paused_schedule_stays_paused_when_changed(kubeflow: Kubeflow, kfp_package: Path) -> None:
    made(kubeflow, kfp_package)
    kubeflow.pause("digits", True)
    assert kubeflow.schedules()[0].paused
    assert made(kubeflow, kfp_package, TUESDAYS).paused
    kubeflow.pause("digits", False)
    assert not kubeflow.schedules()[0].paused
    assert not made(kubeflow, kfp_package, MONDAYS).paused


def test_killed_between_the_new_and_the_old(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    made(kubeflow, kfp_package)
    server.fail_on(
        "DELETE /apis/v2beta1/recurringruns/" + next(iter(server.recurring)), 500, done=False
    )
    with pytest.raises(StepError, match="refuses schedule 'digits'"):
        made(kubeflow, kfp_package, TUESDAYS)
    assert len(server.recurring) == 2
    assert kubeflow.schedules()[0].recurrence == TUESDAYS

    healed = made(kubeflow, kfp_package, TUESDAYS)
    assert list(server.recurring) == [healed.id]
    assert healed.recurrence == TUESDAYS
    assert server.asked.count(CREATE) == 2


@pytest.mark.parametrize("done", [False, True])
def test_a_lost_answer_makes_no_second_schedule(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer, done: bool
) -> None:
    server.fail_on(CREATE, 503, done=done)
    schedule = made(kubeflow, kfp_package)
    assert list(server.recurring) == [schedule.id]


def test_someone_else_s_schedule_is_left_alone(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    made(kubeflow, kfp_package)
    (body,) = server.recurring.values()
    body["description"] = "by hand"
    for change in (
        lambda: made(kubeflow, kfp_package, TUESDAYS),
        lambda: kubeflow.pause("digits", True),
        lambda: kubeflow.delete("digits"),
    ):
        with pytest.raises(StepError, match="not made by Darkroom; give the config another name"):
            change()
    assert list(server.recurring.values()) == [body]
    assert not kubeflow.schedules()[0].managed


def test_a_deleted_schedule_is_gone_and_a_missing_one_is_named(
    kubeflow: Kubeflow, kfp_package: Path
) -> None:
    with pytest.raises(StepError, match="no schedule is called 'digits'; there is none at all"):
        kubeflow.delete("digits")
    made(kubeflow, kfp_package)
    with pytest.raises(StepError, match=r"no schedule is called 'digts'; did you mean 'digits'\?"):
        kubeflow.pause("digts", True)
    kubeflow.delete("digits")
    assert kubeflow.schedules() == []


def test_someone_else_s_interval_is_shown_as_one(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    made(kubeflow, kfp_package)
    (body,) = server.recurring.values()
    body |= {"description": "", "trigger": {"periodic_schedule": {"interval_second": "60"}}}
    assert kubeflow.schedules()[0].recurrence.cron == "@every 60s"
    body["trigger"] = {"cron_schedule": {"cron": "30 0 3 * * 1"}}
    assert kubeflow.schedules()[0].recurrence.cron == "30 0 3 * * 1"
    body["trigger"] = {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert kubeflow.schedules()[0].recurrence.cron == "0 3 * * 1"


@pytest.mark.parametrize(
    ("cron", "weekdays"),
    [
        ("0 3 * * 7", [6]),
        ("0 3 * * 5-7", [4, 5, 6]),
        ("0 3 * * 1-7/2", [0, 2, 4, 6]),
        ("0 3 * * 7-2", [0, 1, 6]),
        ("0 3 * * 0,7", [6]),
        ("0 3 * * 1-5", [0, 1, 2, 3, 4]),
        ("0 3 * * */2", [1, 3, 5, 6]),
        ("0 3 * * mon", [0]),
    ],
)
def test_sunday_is_0_for_kubeflow(cron: str, weekdays: list[int]) -> None:
    """The days (0: Monday) on which the six fields fire, read as robfig/cron 1.2 does."""
    six = kubeflow_cron(Recurrence(cron), "UTC")
    assert six.startswith("0 0 3 * * ")
    assert "7" not in six
    numbered = re.sub("mon", "1", six.split()[5])
    days: set[int] = set()
    for part in numbered.split(","):
        span, _, step = part.partition("/")
        first, _, last = ("0-6" if span == "*" else span).partition("-")
        assert int(first) <= int(last or first)
        days |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    assert sorted((day - 1) % 7 for day in days) == weekdays
    assert five_fields(six).split()[:4] == cron.split()[:4]


@pytest.mark.parametrize(
    ("recurrence", "message"),
    [
        (
            Recurrence("0 3 * * 1", "Europe/Zurich"),
            r"this cluster's is UTC \(cluster\.kfp\.time_zone\)",
        ),
        (Recurrence("0 3 * * 1", max_concurrency=11), "--max-concurrency 11: Kubeflow takes 1 to"),
        (Recurrence("0 3 * *"), "expected five fields"),
        (Recurrence("0 3 * * 1", "Europe/Atlantis"), "no time zone is called 'Europe/Atlantis'"),
    ],
)
def test_what_kubeflow_cannot_do_is_refused(
    kubeflow: Kubeflow, kfp_package: Path, recurrence: Recurrence, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        made(kubeflow, kfp_package, recurrence)


def test_a_zone_is_the_cluster_s_when_its_clock_is(
    kubeflow_settings: KubeflowSettings, kfp_package: Path
) -> None:
    utc, zurich = (
        Kubeflow(kubeflow_settings.model_copy(update={"time_zone": zone}))
        for zone in ("UTC", "Europe/Zurich")
    )
    assert made(utc, kfp_package, Recurrence("0 3 * * 7", "Etc/UTC")).recurrence == Recurrence(
        "0 3 * * 7", "Etc/UTC"
    )
    # Alike in winter only.
    with pytest.raises(SettingsError, match="this cluster's is Europe/Zurich"):
        made(zurich, kfp_package, Recurrence("0 3 * * 1", "Africa/Algiers"))
    berlin = Recurrence("0 3 * * 1", "Europe/Berlin")
    assert made(zurich, kfp_package, berlin).recurrence == berlin
