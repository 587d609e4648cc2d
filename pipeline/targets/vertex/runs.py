"""Runs on Vertex: started, listed, cancelled and retried, and Vertex's words for their states."""

import datetime
import itertools
import re
import secrets
import time
import urllib.parse
from typing import Any

from google.api_core import exceptions
from google.cloud.aiplatform_v1.types import PipelineJob, PipelineState, PipelineTaskDetail
from google.protobuf import field_mask_pb2

from darkroom.errors import StepError
from pipeline.target import ENDED, Run, State, StepState, TransientError
from pipeline.targets.vertex.api import CALL_SECONDS, Api
from pipeline.targets.vertex.errors import explained
from pipeline.targets.vertex.job import pipeline_of, same_again, step_names, uses_cache

CANCEL_SECONDS = 300.0
"""How long a cancelled run is waited for: containers are given time to end."""

_IN_LISTS = ("name", "display_name", "state", "create_time", "end_time", "error")
_MOST_A_PAGE = 100
_UNFINISHED = ("failed", "cancelled")
_RETRY = re.compile(r"-retry(\d+)$")


def submit(api: Api, job: PipelineJob) -> Run:
    """Starts a run. The job's id is chosen here, so that a lost answer never starts two."""
    return run_of(_create(api, job, _new_id(job.display_name)), api)


def get(api: Api, run_id: str) -> PipelineJob:
    """A run's job as it stands now.

    Raises:
        StepError: There is no such run, or Vertex refuses.
    """
    found: PipelineJob | None = api.call(lambda: _find(api, run_id))
    if found is None:
        raise StepError(
            f"there is no run {run_id} in project {api.project}, {api.location}: "
            "see `darkroom runs`"
        )
    return found


def last_runs(api: Api, pipeline: str, limit: int) -> list[Run]:
    """The last runs of a pipeline, newest first, whoever started them."""
    request = {
        "parent": api.parent,
        "filter": f'pipeline_name="{pipeline}"',
        "order_by": "create_time desc",
        "page_size": min(limit, _MOST_A_PAGE),
        "read_mask": field_mask_pb2.FieldMask(paths=_IN_LISTS),
    }

    def read() -> list[Any]:
        pages = api.jobs.list_pipeline_jobs(request=request, timeout=CALL_SECONDS)
        return list(itertools.islice(pages, limit))

    return [run_of(job, api) for job in api.call(read)]


def cancel(api: Api, run_id: str) -> None:
    """Ends a run, and waits for its end.

    Raises:
        StepError: It has ended already, or Vertex takes longer than CANCEL_SECONDS.
    """
    job = get(api, run_id)
    if state_of(job) in ENDED:
        raise StepError(f"run {run_id} has ended already: it is {state_of(job)}")
    api.call(lambda: _ask_to_cancel(api, job))
    deadline = time.monotonic() + CANCEL_SECONDS
    pause = 0.5
    while state_of(get(api, run_id)) not in ENDED:
        if time.monotonic() > deadline:
            address = run_of(job, api).address
            raise TransientError(f"Vertex has not ended run {run_id} yet; see {address}")
        time.sleep(pause)
        pause = min(pause * 1.5, 10.0)


def retry(api: Api, run_id: str) -> Run:
    """Starts a failed run's job again, under an id made of its own.

    Raises:
        StepError: It did not fail, or it was started without the cache, so nothing can be kept.
    """
    job = get(api, run_id)
    if state_of(job) not in _UNFINISHED:
        raise StepError(
            f"run {run_id} is {state_of(job)}: only a failed or cancelled one is retried"
        )
    if not uses_cache(pipeline_of(job)):
        raise StepError(
            f"run {run_id} was started without the cache, so Vertex has kept none of its steps: "
            "submit it again"
        )
    again = same_again(job)
    original = job.name.rpartition("/")[2]
    tried = _RETRY.search(original)
    base = _RETRY.sub("", original)
    for number in itertools.count(int(tried[1]) + 1 if tried else 1):
        started = _create(api, again, f"{base}-retry{number}")
        if state_of(started) not in _UNFINISHED:
            break
    return run_of(started, api)


def _create(api: Api, job: PipelineJob, job_id: str) -> PipelineJob:
    """The job of that id: made now, or there already since its answer was lost."""

    def create() -> Any:
        try:
            return api.jobs.create_pipeline_job(
                parent=api.parent, pipeline_job=job, pipeline_job_id=job_id, timeout=CALL_SECONDS
            )
        except exceptions.AlreadyExists:
            return api.jobs.get_pipeline_job(name=_name(api, job_id), timeout=CALL_SECONDS)

    created: PipelineJob = api.call(create)
    return created


def _find(api: Api, run_id: str) -> Any:
    try:
        return api.jobs.get_pipeline_job(name=_name(api, run_id), timeout=CALL_SECONDS)
    except exceptions.NotFound:
        return None


def _ask_to_cancel(api: Api, job: PipelineJob) -> None:
    try:
        api.jobs.cancel_pipeline_job(name=job.name, timeout=CALL_SECONDS)
    except exceptions.FailedPrecondition:
        # It ended meanwhile, or was asked already and the answer was lost.
        now = api.jobs.get_pipeline_job(name=job.name, timeout=CALL_SECONDS)
        if now.state.name != "PIPELINE_STATE_CANCELLING" and state_of(now) not in ENDED:
            raise


def _name(api: Api, run_id: str) -> str:
    """The resource name of a run that is named by its id, or by that name itself."""
    return f"{api.parent}/pipelineJobs/{run_id.rpartition('/')[2]}"


def _new_id(name: str) -> str:
    """An id for people to recognise that no other run has."""
    slug = re.sub("[^a-z0-9]+", "-", name.lower())[:80].strip("-")
    slug = slug if slug[:1].isalpha() else f"run-{slug}".rstrip("-")
    now = datetime.datetime.now(datetime.UTC)
    return f"{slug}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


_CONSOLE = "https://console.cloud.google.com"
_RUN_STATES: dict[PipelineState, State] = {
    PipelineState.PIPELINE_STATE_RUNNING: "running",
    PipelineState.PIPELINE_STATE_SUCCEEDED: "succeeded",
    PipelineState.PIPELINE_STATE_FAILED: "failed",
    PipelineState.PIPELINE_STATE_CANCELLING: "running",
    PipelineState.PIPELINE_STATE_CANCELLED: "cancelled",
}
_TASK_STATES: dict[PipelineTaskDetail.State, State] = {
    PipelineTaskDetail.State.RUNNING: "running",
    PipelineTaskDetail.State.SUCCEEDED: "succeeded",
    PipelineTaskDetail.State.CANCEL_PENDING: "running",
    PipelineTaskDetail.State.CANCELLING: "running",
    PipelineTaskDetail.State.CANCELLED: "cancelled",
    PipelineTaskDetail.State.FAILED: "failed",
    # Vertex skips what it has in its cache; what a condition leaves out is not triggered.
    PipelineTaskDetail.State.SKIPPED: "cached",
    PipelineTaskDetail.State.NOT_TRIGGERED: "skipped",
}


def state_of(job: PipelineJob) -> State:
    """Where a run stands; one that is queued or paused is pending."""
    return _RUN_STATES.get(job.state, "pending")


def run_of(job: PipelineJob, api: Api) -> Run:
    """A job as a run, with the steps that it knows of."""
    run_id = job.name.rpartition("/")[2]
    return Run(
        id=run_id,
        name=job.display_name,
        state=state_of(job),
        address=f"{_CONSOLE}/vertex-ai/locations/{api.location}/pipelines/runs/{run_id}"
        f"?project={api.project}",
        created=job.create_time,
        finished=job.end_time,
        steps=tuple(_step(task, api) for task in _tasks(job)),
        error=explained(job.error.message, api.project),
    )


def log_address(job: PipelineJob, step: str, api: Api) -> str:
    """A line that says where a step's log is: in Cloud Logging, once its machine is there."""
    workers = [_worker(task) for task in _tasks(job) if task.task_name == step]
    if not any(workers):
        return f"{step} has no log: it has run on no machine"
    query = f'resource.type="ml_job"\nresource.labels.job_id="{workers[-1]}"'
    quoted = urllib.parse.quote(query, safe="")
    return f"log of {step}: {_CONSOLE}/logs/query;query={quoted}?project={api.project}"


def _tasks(job: PipelineJob) -> list[Any]:
    """The tasks that run something, in the order they were made in."""
    if not job.job_detail.task_details:
        return []
    names = step_names(pipeline_of(job))
    tasks = [task for task in job.job_detail.task_details if task.task_name in names]
    return sorted(tasks, key=lambda task: task.create_time.timestamp() if task.create_time else 0.0)


def _step(task: Any, api: Api) -> StepState:
    return StepState(
        name=task.task_name,
        state=_TASK_STATES.get(task.state, "pending"),
        started=task.start_time,
        finished=task.end_time,
        error=explained(task.error.message, api.project),
    )


def _worker(task: Any) -> str:
    """The id of the custom job that runs a task, the last one where it was tried again."""
    detail = task.executor_detail
    jobs = [
        *detail.container_detail.failed_main_jobs,
        *detail.custom_job_detail.failed_jobs,
        detail.container_detail.main_job,
        detail.custom_job_detail.job,
    ]
    return next((job.rpartition("/")[2] for job in reversed(jobs) if job), "")
