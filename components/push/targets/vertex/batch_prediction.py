"""Batch prediction by Vertex itself, on machines of its own, by a version of Model Registry."""

import hashlib
import logging
import time
from collections.abc import Sequence
from typing import Any

from google.cloud.aiplatform_v1.types import BatchPredictionJob, JobState

from components.push.targets.target import PushedVersion
from components.push.targets.vertex.api import CALL_SECONDS, Api
from components.push.targets.vertex.registry import Registry, digest_label, version_name
from darkroom.errors import StepError
from darkroom.storage import files as storage

_log = logging.getLogger("darkroom.predict")

LIST_FILE = "photographs.txt"
"""Beside the results: the photographs, a URI a line."""
_FIRST_POLL, _LAST_POLL = 0.1, 60.0
_ENDED = frozenset(
    {
        JobState.JOB_STATE_SUCCEEDED,
        JobState.JOB_STATE_PARTIALLY_SUCCEEDED,
        JobState.JOB_STATE_FAILED,
        JobState.JOB_STATE_CANCELLED,
        JobState.JOB_STATE_EXPIRED,
    }
)
_SUCCEEDED = frozenset({JobState.JOB_STATE_SUCCEEDED, JobState.JOB_STATE_PARTIALLY_SUCCEEDED})


def predict_on_vertex(
    api: Api, version: PushedVersion, photographs: Sequence[str], out: str
) -> str:
    """Has Vertex predict photographs; a job that an earlier call began is awaited.

    Args:
        api: The connection.
        version: The version that is asked, which is in Model Registry.
        photographs: `gs://` URIs.
        out: `gs://` URI of the folder that the results' folder is made in.

    Returns:
        URI of the folder of Vertex's results: JSON Lines, `prediction.results-*`.

    Raises:
        StepError: Model Registry has no such version, or the job is refused or fails.
    """
    found = Registry(api).versions().get(digest_label(version.digest or ""))
    if found is None:
        raise StepError(f"Model Registry has not version {version.number}: push it again")
    listing = "".join(f"{each}\n" for each in photographs).encode()
    with storage.clear_errors(f"cannot write {out}", StepError):
        digest = hashlib.sha256(listing + version_name(found).encode() + out.encode()).hexdigest()
        source = f"{out}/{digest[:12]}-{LIST_FILE}"
        storage.create(source, listing)
    name = f"{api.destination.name}-{digest[:12]}"
    job = api.call(lambda: _begun(api, name) or _begin(api, name, found, source, out))
    _log.info("%s: %s photographs; it takes Vertex some minutes", job.name, f"{len(photographs):,}")
    job = _awaited(api, job)
    if job.state not in _SUCCEEDED:
        said = job.error.message or JobState(job.state).name.removeprefix("JOB_STATE_").lower()
        raise StepError(f"Vertex's batch prediction {job.name} failed: {said}")
    stats = job.completion_stats
    _log.info("predictions: %s", f"{stats.successful_count:,}")
    if stats.failed_count > 0:
        _log.warning(
            "%s photographs failed; prediction.errors_stats-* beside the results say why",
            f"{stats.failed_count:,}",
        )
    return str(job.output_info.gcs_output_directory)


def _begun(api: Api, name: str) -> Any | None:
    """A job of that name that has not failed: its answer may have been lost, or its caller."""
    request = {"parent": api.destination.parent, "filter": f'display_name="{name}"'}
    for job in api.jobs.list_batch_prediction_jobs(request, timeout=CALL_SECONDS):
        if job.state not in _ENDED or job.state in _SUCCEEDED:
            return job
    return None


def _begin(api: Api, name: str, version: Any, source: str, out: str) -> Any:
    destination = api.destination
    machine: dict[str, Any] = {"machine_type": destination.machine}
    if destination.accelerator:
        machine["accelerator_type"] = destination.accelerator
        machine["accelerator_count"] = destination.accelerators
    fewest, most = destination.replicas
    job = BatchPredictionJob(
        display_name=name,
        model=version_name(version),
        # Each file's bytes are an instance of its own, as the signature takes them.
        input_config={"instances_format": "file-list", "gcs_source": {"uris": [source]}},
        output_config={
            "predictions_format": "jsonl",
            "gcs_destination": {"output_uri_prefix": out},
        },
        dedicated_resources={
            "machine_spec": machine,
            "starting_replica_count": fewest,
            "max_replica_count": most,
        },
        service_account=destination.account,
    )
    return api.jobs.create_batch_prediction_job(
        parent=destination.parent, batch_prediction_job=job, timeout=CALL_SECONDS
    )


def _awaited(api: Api, job: Any) -> Any:
    pause = _FIRST_POLL
    name = job.name
    while job.state not in _ENDED:
        time.sleep(pause)
        pause = min(2 * pause, _LAST_POLL)
        job = api.call(lambda: api.jobs.get_batch_prediction_job(name=name, timeout=CALL_SECONDS))
    return job
