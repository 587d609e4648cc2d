"""Vertex Pipelines, as `pipeline.target` asks for it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.errors import SettingsError
from pipeline.settings.cluster import VertexSettings
from pipeline.target import Recurrence, Run, Schedule

if TYPE_CHECKING:
    from pipeline.targets.vertex.api import Api


class Vertex:
    """A Google Cloud project that runs compiled pipelines.

    Args:
        settings: Which project, and as whom.

    Raises:
        SettingsError: The settings do not say where pipelines run.
    """

    def __init__(self, settings: VertexSettings) -> None:
        if not settings.project:
            raise SettingsError(
                "setting 'cluster.vertex.project' is missing: the id of a Google Cloud project"
            )
        if not settings.pipeline_root.startswith("gs://"):
            raise SettingsError(
                "setting 'cluster.vertex.pipeline_root': expected a folder of a bucket, such as "
                f"gs://my-bucket/darkroom (got {settings.pipeline_root!r})"
            )
        self._settings = settings
        self._connected: Api | None = None

    @property
    def run_identity(self) -> Mapping[str, str]:
        """Account, network, key, labels and the folder of artifacts, where they are set."""
        from pipeline.targets.vertex.job import pipeline_job, run_identity_of

        return run_identity_of(pipeline_job({}, "", {}, self._settings))

    def submit(self, package: Path, name: str, arguments: Mapping[str, Any], caching: bool) -> Run:
        """Starts a run of a compiled pipeline; see `pipeline.target.ClusterClient`."""
        from pipeline.targets.vertex import runs
        from pipeline.targets.vertex.job import pipeline_job, read_pipeline, switch_caching_off

        pipeline = read_pipeline(package, arguments)
        if not caching:
            switch_caching_off(pipeline)
        job = pipeline_job(pipeline, name, arguments, self._settings)
        return self._in_experiment(runs.submit(self._api, job))

    def run(self, run_id: str) -> Run:
        """A run with its steps, as it stands now."""
        from pipeline.targets.vertex import runs
        from pipeline.targets.vertex.runs import run_of

        return run_of(runs.get(self._api, run_id), self._api)

    def runs(self, name: str, limit: int) -> Sequence[Run]:
        """The last runs of a pipeline, newest first; also those that others submitted."""
        from pipeline.targets.vertex import runs

        return runs.last_runs(self._api, name, limit)

    def cancel(self, run_id: str) -> None:
        """Ends a run, and waits until Vertex has ended it."""
        from pipeline.targets.vertex import runs

        runs.cancel(self._api, run_id)

    def retry(self, run_id: str) -> Run:
        """Runs a failed run's pipeline again as a new run, which takes what succeeded from cache.

        Asking again for the same run gives the same new run, unless that has failed as well.
        """
        from pipeline.targets.vertex import runs

        return self._in_experiment(runs.retry(self._api, run_id))

    def log_tail(self, run_id: str, step: str, lines: int) -> list[str]:  # noqa: ARG002
        """Where a step's log can be read: one line, as Vertex keeps logs in Cloud Logging."""
        from pipeline.targets.vertex import runs
        from pipeline.targets.vertex.runs import log_address

        return [log_address(runs.get(self._api, run_id), step, self._api)]

    def schedule(
        self, package: Path, name: str, arguments: Mapping[str, Any], recurrence: Recurrence
    ) -> Schedule:
        """Creates the schedule of that name, or changes in place what differs."""
        from pipeline.targets.vertex import schedules
        from pipeline.targets.vertex.job import pipeline_job, read_pipeline

        pipeline = read_pipeline(package, arguments)
        job = pipeline_job(pipeline, name, arguments, self._settings)
        return schedules.apply(self._api, name, job, recurrence)

    def schedules(self) -> Sequence[Schedule]:
        """All schedules of pipelines, also those that others made."""
        from pipeline.targets.vertex import schedules

        return schedules.all_schedules(self._api)

    def pause(self, name: str, paused: bool) -> None:
        """Pauses or resumes a schedule."""
        from pipeline.targets.vertex import schedules

        schedules.pause(self._api, name, paused)

    def delete(self, name: str) -> None:
        """Removes a schedule, and waits until it is gone; its runs stay."""
        from pipeline.targets.vertex import schedules

        schedules.delete(self._api, name)

    def _in_experiment(self, run: Run) -> Run:
        if self._settings.experiment:
            from pipeline.targets.vertex.experiments import add_to_experiment

            add_to_experiment(self._api, run.id, self._settings.experiment)
        return run

    @property
    def _api(self) -> "Api":
        if self._connected is None:
            from pipeline.targets.vertex.api import Api

            self._connected = Api(self._settings)
        return self._connected
