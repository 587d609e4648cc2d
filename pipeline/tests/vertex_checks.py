"""What Vertex refuses: projects that are not the caller's, and requests that are not complete."""

import re
from typing import Any

import grpc
from google.cloud.aiplatform_v1.types import PipelineJob, Schedule
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from darkroom.tests.google_server import RefusedError, require

PROJECT = "my-project"
LOCATION = "europe-west4"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
ACCOUNT = f"steps@{PROJECT}.iam.gserviceaccount.com"
"""The only account that the caller may let steps run as."""

_TYPES: dict[Any, Any] = {
    str: pipeline_spec_pb2.ParameterType.STRING,
    dict: pipeline_spec_pb2.ParameterType.STRUCT,
}


def check_parent(name: str) -> None:
    if not name.startswith(f"projects/{PROJECT}/"):
        raise RefusedError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"Permission denied on resource project {name.split('/')[1]}.",
            "CONSUMER_INVALID",
        )
    require(name.startswith(PARENT), "parent")


def check_job(job: PipelineJob) -> None:
    """Refuses a job as Vertex does, and one whose IR is none."""
    pipeline = json_format.MessageToDict(PipelineJob.pb(job).pipeline_spec)
    spec = pipeline_spec_pb2.PipelineSpec()
    try:
        json_format.ParseDict(pipeline, spec)
    except json_format.ParseError as error:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"pipeline_spec: {error}") from None
    require(spec.pipeline_info.name, "pipeline_job.pipeline_spec.pipelineInfo.name")
    require(spec.schema_version, "pipeline_job.pipeline_spec.schemaVersion")
    require(
        job.runtime_config.gcs_output_directory.startswith("gs://"),
        "pipeline_job.runtime_config.gcs_output_directory",
    )
    for name, value in PipelineJob.pb(job).runtime_config.parameter_values.items():
        declared = spec.root.input_definitions.parameters
        require(name in declared, f"parameter {name}")
        kind: type[Any] = type(json_format.MessageToDict(value))
        require(declared[name].parameter_type == _TYPES.get(kind), f"parameter {name}")
    key = job.encryption_spec.kms_key_name
    require(not key or f"/locations/{LOCATION}/" in key, "pipeline_job.encryption_spec")
    if job.service_account not in ("", ACCOUNT):
        raise RefusedError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"You do not have permission to act as service_account: {job.service_account}. "
            "(or it may not exist).",
        )


def check_schedule(schedule: Schedule) -> None:
    require(schedule.display_name, "schedule.display_name")
    require(schedule.max_concurrent_run_count >= 1, "schedule.max_concurrent_run_count")
    require(re.fullmatch(r"((CRON_)?TZ=\S+ )?\S+( \S+){4}", schedule.cron), "schedule.cron")
    if "create_pipeline_job_request" in schedule:
        check_parent(schedule.create_pipeline_job_request.parent)
        check_job(schedule.create_pipeline_job_request.pipeline_job)


def condition(text: str) -> tuple[str, str]:
    """A filter's field and value: those that are sent, of all that Vertex knows."""
    match = re.fullmatch(r'(\w+)(?:="([^"]*)"|:\*)', text)
    require(match, "filter")
    assert match is not None
    return match[1], match[2]
