"""Schedules on Vertex: made once, changed in place, and never someone else's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
import yaml

from darkroom.errors import StepError
from pipeline.config import load_config
from pipeline.scheduling.cluster_schedule import ClusterSchedule
from pipeline.settings.cluster import VertexSettings
from pipeline.target import Recurrence, Schedule
from pipeline.targets import cluster_target
from pipeline.targets.vertex.client import Vertex
from pipeline.tests.test_vertex import PACKAGE

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Schedule as VertexSchedule

    from pipeline.tests.vertex_server import VertexServer

ROOT = Path(__file__).parent.parent.parent
WEEKLY = Recurrence("0 3 * * 1", "Europe/Zurich")
ARGUMENTS = {"data": "gs://my-bucket/photographs"}


def scheduled(vertex: Vertex, recurrence: Recurrence = WEEKLY) -> Schedule:
    return vertex.schedule(PACKAGE, "digits", ARGUMENTS, recurrence)


def installed(server: VertexServer) -> VertexSchedule:
    (schedule,) = server.schedules.values()
    return schedule


def add_foreign(server: VertexServer, vertex: Vertex) -> str:
    """A schedule of the same name that carries no mark of Darkroom's."""
    managed = scheduled(vertex)
    name, schedule = next(iter(server.schedules.items()))
    schedule.create_pipeline_job_request.pipeline_job.labels.clear()
    return name if managed.id in name else ""


def test_what_is_made_is_what_was_asked(vertex: Vertex, vertex_server: VertexServer) -> None:
    made = scheduled(vertex, Recurrence("0 3 * * 1", "Europe/Zurich", max_concurrency=2))

    there = installed(vertex_server)
    assert there.cron == "TZ=Europe/Zurich 0 3 * * 1"
    assert there.max_concurrent_run_count == there.max_concurrent_active_run_count == 2
    job = there.create_pipeline_job_request.pipeline_job
    assert job.labels["team"] == "vision"
    assert job.service_account
    assert job.network
    assert job.encryption_spec.kms_key_name
    assert [made] == vertex.schedules()
    assert made.recurrence == Recurrence("0 3 * * 1", "Europe/Zurich", 2)
    assert made.pipeline == yaml.safe_load(PACKAGE.read_text(encoding="utf-8"))
    assert (made.name, made.arguments, made.paused, made.managed) == (
        "digits",
        ARGUMENTS,
        False,
        True,
    )


def test_the_same_again_sends_nothing(vertex: Vertex, vertex_server: VertexServer) -> None:
    made = scheduled(vertex)

    assert scheduled(vertex) == made

    assert vertex_server.calls["CreateSchedule"] == 1
    assert vertex_server.calls["UpdateSchedule"] == 0


def test_a_change_is_made_in_place(
    vertex: Vertex, vertex_server: VertexServer, vertex_settings: VertexSettings, tmp_path: Path
) -> None:
    made = scheduled(vertex)
    vertex.pause("digits", True)

    changed = scheduled(vertex, Recurrence("30 4 * * *", "Europe/Zurich"))
    assert (changed.id, changed.recurrence.cron, changed.paused) == (made.id, "30 4 * * *", True)
    assert vertex_server.asked("UpdateSchedule")[-1].update_mask.paths == ["cron"]

    package = tmp_path / "digits.yaml"
    package.write_text(PACKAGE.read_text(encoding="utf-8").replace("darkroom-train:", "train:"))
    changed = vertex.schedule(package, "digits", {}, changed.recurrence)
    assert vertex_server.asked("UpdateSchedule")[-1].update_mask.paths == [
        "create_pipeline_job_request"
    ]
    assert changed.pipeline == yaml.safe_load(package.read_text(encoding="utf-8"))
    assert changed.arguments == {}

    for changes in ({"network": ""}, {"network": "", "labels": {"team": "x"}}):
        other = Vertex(vertex_settings.model_copy(update=changes))
        other.schedule(package, "digits", {}, changed.recurrence)
        other.schedule(package, "digits", {}, changed.recurrence)
    job = installed(vertex_server).create_pipeline_job_request.pipeline_job
    assert (job.network, job.labels["team"]) == ("", "x")
    assert vertex_server.calls["UpdateSchedule"] == 4


def test_a_change_of_the_labels_alone_is_seen_and_made(
    vertex: Vertex, vertex_settings: VertexSettings, vertex_server: VertexServer
) -> None:
    config = load_config(str(ROOT / "configs" / "digits.yaml"))
    assert ClusterSchedule(vertex, config, cluster_target("vertex")).change(WEEKLY) == "created"
    moved = Vertex(vertex_settings.model_copy(update={"labels": {"team": "growers"}}))
    schedule = ClusterSchedule(moved, config, cluster_target("vertex"))

    assert "+  labels.team: growers" in schedule.drift(None).splitlines()
    assert schedule.change(WEEKLY) == "changed"

    job = installed(vertex_server).create_pipeline_job_request.pipeline_job
    assert job.labels["team"] == "growers"
    assert schedule.change(WEEKLY) == "unchanged"


def test_a_lost_answer_makes_no_second_schedule(
    vertex: Vertex, vertex_server: VertexServer
) -> None:
    vertex_server.refuse(
        "CreateSchedule", grpc.StatusCode.UNAVAILABLE, "The answer is lost.", lost=True
    )

    made = scheduled(vertex)

    assert vertex_server.calls["CreateSchedule"] == 1
    assert installed(vertex_server).name.endswith(f"/{made.id}")


def test_someone_elses_schedule_is_left_alone(vertex: Vertex, vertex_server: VertexServer) -> None:
    from google.cloud.aiplatform_v1.types import Schedule as VertexSchedule

    foreign = add_foreign(vertex_server, vertex)
    before = VertexSchedule(installed(vertex_server))

    for call in (
        lambda: scheduled(vertex),
        lambda: vertex.pause("digits", True),
        lambda: vertex.delete("digits"),
    ):
        with pytest.raises(StepError, match=f"Darkroom did not make \\({foreign}\\)"):
            call()

    assert installed(vertex_server) == before
    assert [schedule.managed for schedule in vertex.schedules()] == [False]


def test_ours_is_found_beside_others(vertex: Vertex, vertex_server: VertexServer) -> None:
    from google.cloud.aiplatform_v1.types import Schedule as VertexSchedule

    for number in range(3):
        name = f"projects/my-project/locations/europe-west4/schedules/foreign{number}"
        schedule = VertexSchedule(name=name, display_name="digits", cron="0 0 * * *")
        schedule.create_pipeline_job_request.parent = "projects/my-project/locations/europe-west4"
        vertex_server.schedules[name] = schedule
    with pytest.raises(StepError, match="did not make"):
        scheduled(vertex)
    vertex.schedule(PACKAGE, "flowers", ARGUMENTS, WEEKLY)

    assert [schedule.name for schedule in vertex.schedules()] == [*["digits"] * 3, "flowers"]
    assert [schedule.recurrence.time_zone for schedule in vertex.schedules()][-2:] == [
        "UTC",
        "Europe/Zurich",
    ]


@pytest.mark.parametrize("catch_up", [False, True])
def test_pause_and_resume(vertex: Vertex, vertex_server: VertexServer, catch_up: bool) -> None:
    scheduled(vertex, Recurrence("0 3 * * 1", "Europe/Zurich", catch_up=catch_up))

    vertex.pause("digits", True)
    (paused,) = vertex.schedules()
    assert (paused.paused, paused.recurrence.catch_up) == (True, catch_up)
    vertex.pause("digits", True)
    vertex.pause("digits", False)

    assert not vertex.schedules()[0].paused
    assert installed(vertex_server).catch_up == catch_up
    assert vertex_server.calls["PauseSchedule"] == vertex_server.calls["ResumeSchedule"] == 1


def test_delete_waits_until_it_is_gone(vertex: Vertex, vertex_server: VertexServer) -> None:
    scheduled(vertex)

    vertex.delete("digits")

    assert not vertex_server.schedules
    for call in (lambda: vertex.delete("digits"), lambda: vertex.pause("digits", False)):
        with pytest.raises(StepError, match="no schedule 'digits' in project my-project"):
            call()
