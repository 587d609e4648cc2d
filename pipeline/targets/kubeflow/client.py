"""Kubeflow Pipelines as a cluster that runs compiled pipelines."""

import datetime
import functools
import itertools
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import StepError
from pipeline.compiler import read_package
from pipeline.settings.cluster import KubeflowSettings
from pipeline.target import ENDED, Recurrence, Run, Schedule
from pipeline.targets.kubeflow.connection import (
    Connection,
    experiment_id,
    find_experiment,
    name_filter,
)
from pipeline.targets.kubeflow.package import check_arguments, pipeline_name, without_caching
from pipeline.targets.kubeflow.recurring_runs import RecurringRuns
from pipeline.targets.kubeflow.runs import log_tail, read_run

_PAGE = 50
_NEWEST_FIRST = "created_at desc"


class Kubeflow:
    """A Kubeflow Pipelines, version 2.

    Args:
        settings: Where it is, and as whom runs happen there.

    Raises:
        SettingsError: The settings do not say where, or the token's file cannot be read.
    """

    def __init__(self, settings: KubeflowSettings) -> None:
        self._connection = Connection(settings)
        self._schedules = RecurringRuns(self._connection)

    @property
    def run_identity(self) -> Mapping[str, str]:
        """The service account and the folder of artifacts, where they are set."""
        settings = self._connection.settings
        said = {key: getattr(settings, key) for key in ("service_account", "pipeline_root")}
        return {key: text for key, text in said.items() if text}

    def submit(self, package: Path, name: str, arguments: Mapping[str, Any], caching: bool) -> Run:
        """Starts a run of a compiled pipeline."""
        import kfp_server_api as api

        content = read_package(package)
        check_arguments(content, arguments)
        settings = self._connection.settings
        # No other run has this name: by it a run is found whose start was not answered.
        started = datetime.datetime.now(datetime.UTC)
        unique = f"{name}-{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        asked = api.V2beta1Run(
            display_name=unique,
            experiment_id=experiment_id(self._connection),
            pipeline_spec=content if caching else without_caching(content),
            runtime_config=api.V2beta1RuntimeConfig(
                parameters=dict(arguments), pipeline_root=settings.pipeline_root or None
            ),
            service_account=settings.service_account or None,
        )
        create = functools.partial(self._connection.runs.run_service_create_run, asked)
        find = functools.partial(self._find, unique, asked.experiment_id)
        made = self._connection.make(create, find, subject=f"run '{unique}'")
        return read_run(made, self._connection.host)

    def run(self, run_id: str) -> Run:
        """A run with its steps, as it stands now."""
        return read_run(self._get(run_id), self._connection.host)

    def runs(self, name: str, limit: int) -> Sequence[Run]:
        """The last runs of a pipeline, newest first."""
        experiment = find_experiment(self._connection)
        if experiment is None:
            return []
        managed = (
            read_run(raw, self._connection.host)
            for raw in self._list(experiment.experiment_id)
            if pipeline_name(raw.pipeline_spec or {}) == name
        )
        return list(itertools.islice(managed, limit))

    def cancel(self, run_id: str) -> None:
        """Ends a run."""
        run = self.run(run_id)
        if run.state in ENDED:
            raise StepError(f"run {run_id} has ended already: it {_ended_how(run)}")
        self._connection.ask(
            self._connection.runs.run_service_terminate_run, run_id, subject=f"run {run_id}"
        )

    def retry(self, run_id: str) -> Run:
        """Runs a failed run's failed steps again; what succeeded is kept."""
        run = self.run(run_id)
        if run.state not in ("failed", "cancelled"):
            raise StepError(
                f"run {run_id} {_ended_how(run)}: only one that failed or was cancelled can be "
                "tried again; `darkroom submit` starts another"
            )
        self._connection.ask(
            self._connection.runs.run_service_retry_run, run_id, subject=f"run {run_id}"
        )
        return self.run(run_id)

    def log_tail(self, run_id: str, step: str, lines: int) -> list[str]:
        """The last lines a step printed, as far as they can be read from here."""
        return log_tail(self._connection, self._get(run_id), step, lines)

    def schedule(
        self, package: Path, name: str, arguments: Mapping[str, Any], recurrence: Recurrence
    ) -> Schedule:
        """Creates the schedule of that name, or changes it in place."""
        return self._schedules.set(package, name, arguments, recurrence)

    def schedules(self) -> Sequence[Schedule]:
        """All schedules."""
        return self._schedules.all()

    def pause(self, name: str, paused: bool) -> None:
        """Pauses or resumes a schedule."""
        self._schedules.pause(name, paused)

    def delete(self, name: str) -> None:
        """Removes a schedule; its runs stay."""
        self._schedules.delete(name)

    def _get(self, run_id: str) -> Any:
        return self._connection.ask(
            self._connection.runs.run_service_get_run, run_id, subject=f"run {run_id}"
        )

    def _find(self, unique: str, experiment: str) -> Any:
        return next(self._list(experiment, filter=name_filter(unique)), None)

    def _list(self, experiment: str, **query: str) -> Iterator[Any]:
        token: str | None = ""
        while token is not None:
            answer = self._connection.ask(
                self._connection.runs.run_service_list_runs,
                experiment_id=experiment,
                page_size=_PAGE,
                page_token=token,
                sort_by=_NEWEST_FIRST,
                **query,
            )
            yield from answer.runs or ()
            token = answer.next_page_token or None


def _ended_how(run: Run) -> str:
    return {"cancelled": "was cancelled", "pending": "waits", "running": "runs"}.get(
        run.state, run.state
    )
