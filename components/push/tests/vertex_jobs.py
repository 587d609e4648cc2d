"""The batch prediction jobs of the stand-in for Vertex."""

from typing import Any

import grpc
from google.cloud.aiplatform_v1.types import BatchPredictionJob, JobState, job_service
from google.rpc import status_pb2

from components.push.tests.vertex_operations import NUMBERED, check_parent, display_name_of
from components.push.tests.vertex_registry import VertexRegistry
from darkroom.storage import files
from darkroom.tests.google_server import Method, RefusedError, require, under


class VertexJobs:
    """Jobs, each of which runs until it has been looked at twice.

    Attributes:
        jobs: By resource name.
        failure: What the next job fails with; "" for one that succeeds.
    """

    def __init__(self, registry: VertexRegistry) -> None:
        self.jobs: dict[str, Any] = {}
        self.failure = ""
        self._registry = registry
        self._looks: dict[str, int] = {}

    def methods(self) -> dict[str, Method]:
        """What is called by which path."""
        asked = job_service
        return under(
            "google.cloud.aiplatform.v1.JobService",
            CreateBatchPredictionJob=(asked.CreateBatchPredictionJobRequest, self._create),
            ListBatchPredictionJobs=(asked.ListBatchPredictionJobsRequest, self._list),
            GetBatchPredictionJob=(asked.GetBatchPredictionJobRequest, self._get),
        )

    def _create(self, request: Any) -> Any:
        check_parent(request.parent)
        job = BatchPredictionJob(request.batch_prediction_job)
        require(job.display_name, "display_name")
        self._registry.get(job.model)
        require(job.input_config.instances_format == "file-list", "input_config")
        require(job.output_config.gcs_destination.output_uri_prefix, "output_config")
        require(job.dedicated_resources.machine_spec.machine_type, "dedicated_resources")
        job.name = f"{NUMBERED}/batchPredictionJobs/{len(self.jobs) + 1}"
        job.state = JobState.JOB_STATE_PENDING
        self.jobs[job.name] = job
        return job

    def _list(self, request: Any) -> Any:
        check_parent(request.parent)
        name = display_name_of(request.filter)
        found = [job for job in self.jobs.values() if job.display_name == name]
        return job_service.ListBatchPredictionJobsResponse(batch_prediction_jobs=found)

    def _get(self, request: Any) -> Any:
        if request.name not in self.jobs:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, f"{request.name} is not found.")
        job = self.jobs[request.name]
        self._looks[job.name] = self._looks.get(job.name, 0) + 1
        if self._looks[job.name] >= 2:
            self._end(job)
        return job

    def _end(self, job: Any) -> None:
        if self.failure:
            job.state = JobState.JOB_STATE_FAILED
            job.error = status_pb2.Status(code=3, message=self.failure)
            self.failure = ""
            return
        (source,) = job.input_config.gcs_source.uris
        lines = files.read_bytes(source).decode().splitlines()
        job.state = JobState.JOB_STATE_SUCCEEDED
        job.completion_stats.successful_count = len(lines)
        prefix = job.output_config.gcs_destination.output_uri_prefix
        number = job.name.rpartition("/")[2]
        folder = f"{prefix}/prediction-{job.display_name}-{number}"
        files.create(f"{folder}/prediction.results-00000-of-00001", b"{}\n")
        job.output_info.gcs_output_directory = folder
