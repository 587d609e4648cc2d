"""What the stand-in for Vertex keeps and does: runs, schedules, operations."""

import base64
import collections
import datetime
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from google.cloud.aiplatform_v1.types import (
    Context,
    PipelineJob,
    PipelineState,
    PipelineTaskDetail,
    Schedule,
    metadata_service,
    pipeline_service,
    schedule_service,
)
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import code_pb2, status_pb2

from darkroom.tests.google_server import Method, RefusedError, require, under
from pipeline.tests.vertex_checks import (
    LOCATION,
    PARENT,
    check_job,
    check_parent,
    check_schedule,
    condition,
)

_PAGE = 2
_ENDED = (
    PipelineState.PIPELINE_STATE_SUCCEEDED,
    PipelineState.PIPELINE_STATE_FAILED,
    PipelineState.PIPELINE_STATE_CANCELLED,
)


class VertexServices:
    """Vertex's services in one project and region.

    Attributes:
        jobs: Runs by resource name.
        schedules: Schedules by resource name.
        contexts: Contexts of ML Metadata by resource name, experiments among them.
        children: Resource names of each context's children.
        starts_runs: Whether runs start, and get their context, once they are asked for again.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, PipelineJob] = {}
        self.schedules: dict[str, Schedule] = {}
        self.contexts: dict[str, Context] = {}
        self.children: dict[str, list[str]] = {}
        self.starts_runs = True
        self._operations: dict[str, tuple[operations_pb2.Operation, Callable[[], Any]]] = {}
        self._asked_for: set[str] = set()
        self._looked_at: collections.Counter[str] = collections.Counter()
        self._numbers = itertools.count(1)
        self._now = datetime.datetime.now(datetime.UTC)

    def methods(self) -> dict[str, Method]:
        """What is called by which path."""
        runs, schedules, metadata = pipeline_service, schedule_service, metadata_service
        return {
            **under(
                "google.cloud.aiplatform.v1.PipelineService",
                CreatePipelineJob=(runs.CreatePipelineJobRequest, self._create_job),
                GetPipelineJob=(runs.GetPipelineJobRequest, self._get_job),
                ListPipelineJobs=(runs.ListPipelineJobsRequest, self._list_jobs),
                CancelPipelineJob=(runs.CancelPipelineJobRequest, self._cancel_job),
            ),
            **under(
                "google.cloud.aiplatform.v1.ScheduleService",
                CreateSchedule=(schedules.CreateScheduleRequest, self._create_schedule),
                UpdateSchedule=(schedules.UpdateScheduleRequest, self._update_schedule),
                ListSchedules=(schedules.ListSchedulesRequest, self._list_schedules),
                PauseSchedule=(schedules.PauseScheduleRequest, self._pause_schedule),
                ResumeSchedule=(schedules.ResumeScheduleRequest, self._resume_schedule),
                DeleteSchedule=(schedules.DeleteScheduleRequest, self._delete_schedule),
            ),
            **under(
                "google.cloud.aiplatform.v1.MetadataService",
                GetContext=(metadata.GetContextRequest, self._get_context),
                CreateContext=(metadata.CreateContextRequest, self._create_context),
                AddContextChildren=(metadata.AddContextChildrenRequest, self._add_children),
            ),
            **under(
                "google.longrunning.Operations",
                GetOperation=(operations_pb2.GetOperationRequest, self._get_operation),
            ),
        }

    def advance(
        self, run_id: str, state: str, tasks: Mapping[str, str] | None = None, error: str = ""
    ) -> None:
        """Brings a run into a state; `tasks` has those of its tasks, in their order."""
        job = self.jobs[f"{PARENT}/pipelineJobs/{run_id}"]
        job.state = PipelineState[f"PIPELINE_STATE_{state}"]
        if job.state in _ENDED:
            job.end_time = self._time()
        if state == "FAILED":
            job.error = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=error)
        # Vertex lists the run itself as a task, too.
        job.job_detail.task_details = [
            self._task(number, name, task, error)
            for number, (name, task) in enumerate({run_id: "RUNNING", **(tasks or {})}.items())
        ]

    def _task(self, number: int, name: str, state: str, error: str) -> PipelineTaskDetail:
        task = PipelineTaskDetail(
            task_id=number, task_name=name, state=PipelineTaskDetail.State[state]
        )
        task.create_time = task.start_time = self._time()
        if state == "FAILED":
            task.error = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message=error)
        if state in ("SUCCEEDED", "RUNNING", "FAILED"):
            worker = f"projects/123/locations/{LOCATION}/customJobs/77{number}"
            task.executor_detail.container_detail.main_job = worker
        return task

    def _create_job(self, request: Any) -> PipelineJob:
        check_parent(request.parent)
        require(re.fullmatch(r"[a-z][-a-z0-9]{0,127}", request.pipeline_job_id), "pipeline_job_id")
        name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
        if name in self.jobs:
            raise RefusedError(
                grpc.StatusCode.ALREADY_EXISTS, f"Requested entity already exists: {name}"
            )
        check_job(request.pipeline_job)
        job = PipelineJob(request.pipeline_job)
        job.name, job.create_time = name, self._time()
        job.state = PipelineState.PIPELINE_STATE_PENDING
        job.labels["vertex-ai-pipelines-run-billing-id"] = str(next(self._numbers))
        self.jobs[name] = job
        return job

    def _get_job(self, request: Any) -> PipelineJob:
        check_parent(request.name)
        job = self.jobs.get(request.name)
        if job is None:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, "The PipelineJob does not exist.")
        if self.starts_runs and job.name in self._asked_for:
            self._start(job)
        self._asked_for.add(job.name)
        if job.state == PipelineState.PIPELINE_STATE_CANCELLING:
            self._looked_at[job.name] += 1
            if self._looked_at[job.name] > 1:
                job.state, job.end_time = PipelineState.PIPELINE_STATE_CANCELLED, self._time()
        return job

    def _list_jobs(self, request: Any) -> Any:
        check_parent(request.parent)
        require(request.order_by == "create_time desc", "order_by")
        field, value = condition(request.filter)
        require(field == "pipeline_name", "filter")
        found = [
            job for job in self.jobs.values() if job.pipeline_spec["pipelineInfo"]["name"] == value
        ]
        found.sort(key=lambda job: job.create_time.timestamp(), reverse=True)
        page, token = _page(found, request)
        answer = pipeline_service.ListPipelineJobsResponse(next_page_token=token)
        for job in page:
            masked = PipelineJob()
            request.read_mask.MergeMessage(PipelineJob.pb(job), PipelineJob.pb(masked))
            answer.pipeline_jobs.append(masked)
        return answer

    def _cancel_job(self, request: Any) -> empty_pb2.Empty:
        check_parent(request.name)
        job = self.jobs[request.name]
        if job.state in (*_ENDED, PipelineState.PIPELINE_STATE_CANCELLING):
            raise RefusedError(
                grpc.StatusCode.FAILED_PRECONDITION, f"The PipelineJob is {job.state.name}."
            )
        job.state = PipelineState.PIPELINE_STATE_CANCELLING
        return empty_pb2.Empty()

    def _create_schedule(self, request: Any) -> Schedule:
        check_parent(request.parent)
        check_schedule(request.schedule)
        schedule = Schedule(request.schedule)
        schedule.name = f"{request.parent}/schedules/{next(self._numbers)}"
        schedule.create_time, schedule.state = self._time(), Schedule.State.ACTIVE
        self.schedules[schedule.name] = schedule
        return schedule

    def _update_schedule(self, request: Any) -> Schedule:
        standing = self.schedules[request.schedule.name]
        require(request.update_mask.paths, "update_mask")
        for path in request.update_mask.paths:
            require(path in Schedule.meta.fields, f"update_mask: {path}")
            setattr(standing, path, getattr(request.schedule, path))
        check_schedule(standing)
        return standing

    def _list_schedules(self, request: Any) -> Any:
        check_parent(request.parent)
        field, value = condition(request.filter)
        require(field in ("display_name", "create_pipeline_job_request"), "filter")
        found = [
            schedule
            for schedule in self.schedules.values()
            if (schedule.display_name == value if field == "display_name" else field in schedule)
        ]
        page, token = _page(found, request)
        return schedule_service.ListSchedulesResponse(schedules=page, next_page_token=token)

    def _pause_schedule(self, request: Any) -> empty_pb2.Empty:
        self.schedules[request.name].state = Schedule.State.PAUSED
        return empty_pb2.Empty()

    def _resume_schedule(self, request: Any) -> empty_pb2.Empty:
        schedule = self.schedules[request.name]
        schedule.state, schedule.catch_up = Schedule.State.ACTIVE, request.catch_up
        return empty_pb2.Empty()

    def _delete_schedule(self, request: Any) -> operations_pb2.Operation:
        name = f"{request.name}/operations/{next(self._numbers)}"
        operation = operations_pb2.Operation(name=name)
        self._operations[name] = (operation, lambda: self.schedules.pop(request.name, None))
        return operation

    def _get_operation(self, request: Any) -> operations_pb2.Operation:
        operation, finish = self._operations[request.name]
        finish()
        operation.done = True
        operation.response.Pack(empty_pb2.Empty())
        return operation

    def _get_context(self, request: Any) -> Context:
        check_parent(request.name)
        if request.name not in self.contexts:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"Context {request.name} not found.")
        return self.contexts[request.name]

    def _create_context(self, request: Any) -> Context:
        check_parent(request.parent)
        require(re.fullmatch(r"[a-z0-9][a-z0-9-]{0,127}", request.context_id), "context_id")
        require(request.context.schema_title.startswith("system."), "context.schema_title")
        require(request.context.schema_version == "0.0.1", "context.schema_version")
        name = f"{request.parent}/contexts/{request.context_id}"
        if name in self.contexts:
            raise RefusedError(grpc.StatusCode.ALREADY_EXISTS, f"Context {name} already exists.")
        self.contexts[name] = Context(request.context)
        self.contexts[name].name = name
        return self.contexts[name]

    def _add_children(self, request: Any) -> Any:
        for name in (request.context, *request.child_contexts):
            require(name in self.contexts, f"context {name}")
        known = self.children.setdefault(request.context, [])
        known += [name for name in request.child_contexts if name not in known]
        return metadata_service.AddContextChildrenResponse()

    def _start(self, job: PipelineJob) -> None:
        """Makes the context of a run, which Vertex does when it starts it."""
        run_id = job.name.rpartition("/")[2]
        name = f"{PARENT}/metadataStores/default/contexts/{run_id}"
        context = Context(name=name, schema_title="system.PipelineRun", schema_version="0.0.1")
        self.contexts[name] = job.job_detail.pipeline_run_context = context

    def _time(self) -> datetime.datetime:
        """A time later than any before."""
        self._now += datetime.timedelta(seconds=1)
        return self._now


def _page(found: list[Any], request: Any) -> tuple[list[Any], str]:
    """A small page, whatever size was asked for, as a server may."""
    start = int(base64.b64decode(request.page_token or b"MA=="))
    end = min(start + _PAGE, len(found))
    token = base64.b64encode(str(end).encode()).decode() if end < len(found) else ""
    return found[start:end], token
