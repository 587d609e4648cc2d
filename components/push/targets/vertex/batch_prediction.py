"""Batch prediction by Vertex itself, on machines of its own, by a version of Model Registry."""

import glob
import hashlib
import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.cloud.aiplatform_v1.types import BatchPredictionJob, JobState

from components.push.targets.target import PushedVersion
from components.push.targets.vertex.api import CALL_SECONDS, Api
from components.push.targets.vertex.registry import Registry, digest_label, version_name
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files as storage
from darkroom.storage.files import StoredFile

_log = logging.getLogger("darkroom.predict")

LIST_FILE = "photographs.txt"
"""Beside the results: the photographs, a URI a line."""
_BUCKET = "gs://"
_FEW = 20
"""Photographs of a folder that are looked up one by one; of more, the folder is listed."""
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


def checked(photographs: Iterable[str], out: str) -> list[str]:
    """The photographs, if Vertex can read them all, and write to `out`.

    Raises:
        SettingsError: It cannot, or there is none.
    """
    if not out.startswith(_BUCKET):
        raise SettingsError("Vertex writes to a bucket: say which, as in -o gs://bucket/predicted")
    found = []
    for photograph in photographs:
        if not photograph.startswith(_BUCKET):
            raise SettingsError(
                f"Vertex reads photographs of gs:// buckets alone, not {photograph}"
            )
        found.append(photograph)
    if not found:
        raise SettingsError("there is no photograph to predict")
    return found


def predict_on_vertex(
    api: Api, version: PushedVersion, photographs: Sequence[str], out: str, overwrite: bool
) -> str:
    """Has Vertex predict photographs.

    A job that an earlier call began is awaited; one that has ended is taken as long as its results
    are there, and the photographs, their content and the version are what they were.

    Args:
        api: The connection.
        version: The version that is asked, which is in Model Registry.
        photographs: `gs://` URIs.
        out: `gs://` URI of the folder that the results' folder is made in.
        overwrite: Whether a job that has ended is not taken.

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
        parts = [*_states(photographs), version_name(found), out]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        source = f"{out}/{digest[:12]}-{LIST_FILE}"
        storage.create(source, listing)
    name = f"{api.destination.name}-{digest[:12]}"
    job = api.call(lambda: _begun(api, name, overwrite) or _begin(api, name, found, source, out))
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


def _states(photographs: Sequence[str]) -> Iterator[str]:
    """What is there of each photograph, which changes where another takes its place."""
    for folder, within in itertools.groupby(photographs, lambda uri: uri.rpartition("/")[0]):
        names = list(within)
        there = {file.location: file for file in _found(folder, names)}
        for name in names:
            file = there.get(name)
            state = "none" if file is None else f"{file.size} {file.modified}"
            yield f"{name} {state}"


def _found(folder: str, names: Sequence[str]) -> list[StoredFile]:
    if len(names) > _FEW:
        return storage.list_files(f"{glob.escape(folder)}/*")
    return [file for name in names for file in storage.list_files(glob.escape(name))]


def _begun(api: Api, name: str, overwrite: bool) -> Any | None:
    """A job of that name: its answer may have been lost, or its caller; or it is done."""
    request = {"parent": api.destination.parent, "filter": f'display_name="{name}"'}
    for job in api.jobs.list_batch_prediction_jobs(request, timeout=CALL_SECONDS):
        if job.state not in _ENDED:
            return job
        if job.state in _SUCCEEDED and not overwrite and _has_results(job):
            return job
    return None


def _has_results(job: Any) -> bool:
    folder = str(job.output_info.gcs_output_directory)
    with storage.clear_errors(f"cannot read {folder}", StepError):
        return bool(storage.list_files(f"{glob.escape(folder)}/*"))


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
