"""What Vertex says of a run, in the words of `pipeline.cluster_client`."""

import urllib.parse
from typing import Any

from google.cloud.aiplatform_v1.types import PipelineJob, PipelineState, PipelineTaskDetail

from pipeline.cluster_client import Run, State, StepState
from pipeline.targets.vertex.api import Api
from pipeline.targets.vertex.errors import explained
from pipeline.targets.vertex.job import pipeline_of, step_names

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
