"""A compiled pipeline as Vertex's PipelineJob."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import PipelineJob
from google.protobuf import json_format

from darkroom.errors import SettingsError
from darkroom.settings import nearest
from pipeline.compiler import read_package
from pipeline.settings.cluster import VertexSettings

MARK = "darkroom"
"""The label of what Darkroom made."""

_VERTEX_LABEL = "vertex-ai-"


def read_pipeline(package: Path, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a compiled pipeline that arguments are meant for.

    Args:
        package: The compiled file.
        arguments: Values of the pipeline's parameters.

    Returns:
        The pipeline's IR.

    Raises:
        SettingsError: The file is for Kubeflow, or the pipeline has no such parameter.
    """
    pipeline = read_package(package)
    if "pipeline_spec" in pipeline:
        raise SettingsError(
            f"{package} holds settings of Kubernetes, which Vertex cannot read: "
            "compile it with --target vertex"
        )
    parameters = pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
    for name in arguments:
        if name not in parameters:
            raise SettingsError(
                f"the pipeline has no parameter '{name}'{nearest(name, parameters)}"
            )
    return pipeline


def switch_caching_off(pipeline: dict[str, Any]) -> None:
    """Makes every task of a pipeline's IR run again, in place."""
    for task in _tasks_of(pipeline):
        task["cachingOptions"] = {"enableCache": False}


def uses_cache(pipeline: Mapping[str, Any]) -> bool:
    """Whether any task of a pipeline's IR is taken from the cache where it is there."""
    return any(task.get("cachingOptions", {}).get("enableCache") for task in _tasks_of(pipeline))


def step_names(pipeline: Mapping[str, Any]) -> set[str]:
    """The names of a pipeline's tasks that run something, not of the conditions around them."""
    components = pipeline.get("components", {})
    return {
        task.get("taskInfo", {}).get("name", "")
        for task in _tasks_of(pipeline)
        if "executorLabel" in components.get(task["componentRef"]["name"], {})
    }


def _tasks_of(pipeline: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All tasks of a pipeline's IR, those within conditions too."""
    for component in (pipeline["root"], *pipeline.get("components", {}).values()):
        yield from component.get("dag", {}).get("tasks", {}).values()


def pipeline_job(
    pipeline: Mapping[str, Any], name: str, arguments: Mapping[str, Any], settings: VertexSettings
) -> PipelineJob:
    """Builds the job that a run or a schedule is made of.

    Args:
        pipeline: IR, as `read_pipeline` gives it.
        name: The run's name for people.
        arguments: Values of the pipeline's parameters.
        settings: Where artifacts go, and as whom the steps run.
    """
    values: dict[str, Any] = {
        "displayName": name,
        "pipelineSpec": dict(pipeline),
        "labels": {**settings.labels, MARK: "true"},
        "runtimeConfig": {
            "gcsOutputDirectory": settings.pipeline_root.rstrip("/"),
            "parameterValues": dict(arguments),
        },
        "serviceAccount": settings.service_account,
        "network": settings.network,
    }
    if settings.encryption_key:
        values["encryptionSpec"] = {"kmsKeyName": settings.encryption_key}
    job = PipelineJob()
    json_format.ParseDict(values, PipelineJob.pb(job))
    return job


def same_again(job: PipelineJob) -> PipelineJob:
    """A job that does what one on the cluster did, without what the cluster said of it."""
    labels = {key: text for key, text in job.labels.items() if not key.startswith(_VERTEX_LABEL)}
    return PipelineJob(
        display_name=job.display_name,
        pipeline_spec=job.pipeline_spec,
        runtime_config=job.runtime_config,
        labels={**labels, MARK: "true"},
        encryption_spec=job.encryption_spec,
        service_account=job.service_account,
        network=job.network,
    )


def pipeline_of(job: PipelineJob) -> dict[str, Any]:
    """The IR of a job."""
    return dict(json_format.MessageToDict(PipelineJob.pb(job).pipeline_spec))


def arguments_of(job: PipelineJob) -> dict[str, Any]:
    """The values of the pipeline's parameters that a job was given."""
    values = PipelineJob.pb(job).runtime_config.parameter_values
    return {name: json_format.MessageToDict(value) for name, value in values.items()}


def run_identity_of(job: PipelineJob) -> dict[str, str]:
    """As whom a job runs and where it leaves what it makes, as far as it says."""
    said = {
        "pipeline_root": job.runtime_config.gcs_output_directory,
        "service_account": job.service_account,
        "network": job.network,
        "encryption_key": job.encryption_spec.kms_key_name,
        **{f"labels.{key}": text for key, text in job.labels.items() if key != MARK},
    }
    return {key: text for key, text in said.items() if text}
