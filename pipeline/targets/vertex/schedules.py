"""Schedules on Vertex: found by name, made or changed in place, paused, removed."""

from typing import Any

from google.cloud.aiplatform_v1.types import PipelineJob
from google.cloud.aiplatform_v1.types import Schedule as VertexSchedule
from google.protobuf import field_mask_pb2

from darkroom.errors import StepError
from pipeline.target import Recurrence, Schedule
from pipeline.targets.vertex.api import CALL_SECONDS, Api
from pipeline.targets.vertex.job import MARK, arguments_of, pipeline_of, run_identity_of

DELETE_SECONDS = 300.0
"""How long the removal of a schedule is waited for."""

# Vertex takes catch_up only when a schedule is resumed, so that it is kept with the job till then.
_CATCH_UP = "darkroom-catch-up"
_ZONE_PREFIXES = ("TZ=", "CRON_TZ=")


def apply(api: Api, name: str, job: PipelineJob, recurrence: Recurrence) -> Schedule:
    """Creates the schedule of that name, or sends what differs from it; nothing if nothing does.

    Raises:
        StepError: Someone else made a schedule of that name, or Vertex refuses.
    """
    wanted = _schedule(api, name, job, recurrence)

    def make_it_so() -> Any:
        # Creating has no id of ours, so a repetition looks first whether the last one got there.
        installed = _installed(api, name)
        if installed is None:
            return api.schedules.create_schedule(
                parent=api.parent, schedule=wanted, timeout=CALL_SECONDS
            )
        changed = _changed_fields(installed, wanted)
        if not changed:
            return installed
        wanted.name = installed.name
        return api.schedules.update_schedule(
            schedule=wanted,
            update_mask=field_mask_pb2.FieldMask(paths=changed),
            timeout=CALL_SECONDS,
        )

    return _read(api.call(make_it_so))


def all_schedules(api: Api) -> list[Schedule]:
    """The schedules of pipelines in the project and region."""
    listed = api.call(lambda: _listed(api, "create_pipeline_job_request:*"))
    return [_read(schedule) for schedule in listed]


def pause(api: Api, name: str, paused: bool) -> None:
    """Pauses a schedule, or resumes it: as its recurrence says, with the runs it missed."""

    def set_paused() -> None:
        installed = _existing(api, name)
        if (installed.state == VertexSchedule.State.PAUSED) == paused:
            return
        if paused:
            api.schedules.pause_schedule(name=installed.name, timeout=CALL_SECONDS)
        else:
            catch_up = _read(installed).recurrence.catch_up
            request = {"name": installed.name, "catch_up": catch_up}
            api.schedules.resume_schedule(request=request, timeout=CALL_SECONDS)

    api.call(set_paused)


def delete(api: Api, name: str) -> None:
    """Removes a schedule, and waits until it is gone."""
    installed = api.call(lambda: _existing(api, name))

    def remove() -> None:
        if _installed(api, name) is not None:
            operation = api.schedules.delete_schedule(name=installed.name, timeout=CALL_SECONDS)
            operation.result(timeout=DELETE_SECONDS)

    api.call(remove)


def _schedule(api: Api, name: str, job: PipelineJob, recurrence: Recurrence) -> VertexSchedule:
    job = PipelineJob(job)
    job.labels[_CATCH_UP] = str(recurrence.catch_up).lower()
    return VertexSchedule(
        display_name=name,
        cron=f"TZ={recurrence.time_zone} {recurrence.cron}",
        # The one bounds how many are started at a time, the other how many are running.
        max_concurrent_run_count=recurrence.max_concurrency,
        max_concurrent_active_run_count=recurrence.max_concurrency,
        create_pipeline_job_request={"parent": api.parent, "pipeline_job": job},
    )


def _changed_fields(installed: VertexSchedule, wanted: VertexSchedule) -> list[str]:
    """The fields of a schedule to send again."""
    fields = ("cron", "max_concurrent_run_count", "max_concurrent_active_run_count")
    changed = [field for field in fields if getattr(installed, field) != getattr(wanted, field)]
    there, here = (
        PipelineJob.pb(schedule.create_pipeline_job_request.pipeline_job)
        for schedule in (installed, wanted)
    )
    # Vertex adds fields and labels of its own: only what is set here is compared.
    equal = all(
        getattr(there, field.name) == value
        for field, value in here.ListFields()
        if field.name != "labels"
    )
    gone = any(
        getattr(there, field) and not getattr(here, field)
        for field in ("service_account", "network")
    )
    labels = all(there.labels.get(key) == text for key, text in here.labels.items())
    if not equal or gone or not labels:
        changed.append("create_pipeline_job_request")
    return changed


def _existing(api: Api, name: str) -> VertexSchedule:
    installed = _installed(api, name)
    if installed is None:
        raise StepError(f"there is no schedule '{name}' in project {api.project}, {api.location}")
    return installed


def _installed(api: Api, name: str) -> VertexSchedule | None:
    """Darkroom's schedule of that name.

    Raises:
        StepError: The name is someone else's.
    """
    named = _listed(api, f'display_name="{name}"')
    managed = [schedule for schedule in named if _is_ours(schedule)]
    if named and not managed:
        raise StepError(
            f"a schedule '{name}' is there that Darkroom did not make ({named[0].name}): "
            "give the config another name, or delete that one where it was made"
        )
    return managed[0] if managed else None


def _listed(api: Api, condition: str) -> list[VertexSchedule]:
    request = {"parent": api.parent, "filter": condition, "order_by": "create_time"}
    return list(api.schedules.list_schedules(request=request, timeout=CALL_SECONDS))


def _is_ours(schedule: VertexSchedule) -> bool:
    return MARK in schedule.create_pipeline_job_request.pipeline_job.labels


def _read(schedule: VertexSchedule) -> Schedule:
    """A schedule in the words of `pipeline.target`."""
    job = schedule.create_pipeline_job_request.pipeline_job
    zone, cron = "UTC", schedule.cron
    for prefix in _ZONE_PREFIXES:
        if cron.startswith(prefix):
            zone, _, cron = cron.removeprefix(prefix).partition(" ")
    return Schedule(
        id=schedule.name.rpartition("/")[2],
        name=schedule.display_name,
        recurrence=Recurrence(
            cron=cron.strip(),
            time_zone=zone,
            max_concurrency=schedule.max_concurrent_active_run_count
            or schedule.max_concurrent_run_count,
            catch_up=job.labels.get(_CATCH_UP) == "true",
        ),
        paused=schedule.state == VertexSchedule.State.PAUSED,
        pipeline=pipeline_of(job),
        arguments=arguments_of(job),
        managed=_is_ours(schedule),
        run_identity=run_identity_of(job),
    )
