"""Kubeflow's recurring runs, as schedules that are changed in place.

The API has no call to change one. A changed schedule is created again, then the old one is deleted.
Killed in between, two stand, both at work, which the next call puts right: a schedule that starts
a run too many is seen, one that has stopped is not.
"""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import StepError
from darkroom.settings import nearest
from pipeline.compiler import read_package
from pipeline.target import Recurrence, Schedule
from pipeline.targets.kubeflow.connection import Connection, experiment_id, name_filter
from pipeline.targets.kubeflow.cron import five_fields, kubeflow_cron
from pipeline.targets.kubeflow.package import check_arguments

_MARK = "Made by Darkroom from a config; change it there. darkroom: "
_PAGE = 100


class RecurringRuns:
    """The schedules of a Kubeflow.

    Args:
        connection: The API.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set(
        self, package: Path, name: str, arguments: Mapping[str, Any], recurrence: Recurrence
    ) -> Schedule:
        """Creates the schedule of that name, or changes it; a paused one stays paused."""
        content = read_package(package)
        check_arguments(content, arguments)
        asked = self._asked(content, name, arguments, recurrence)
        standing = self._named(name)
        same = [raw for raw in standing if raw.description == asked.description]
        kept = same[0] if same else self._create(asked, paused=_all_paused(standing))
        for raw in standing:
            if raw.recurring_run_id != kept.recurring_run_id:
                self._delete(raw)
        return self._schedule(kept)

    def all(self) -> list[Schedule]:
        """All schedules; one that was left over by a kill stands behind the one that holds."""
        return [self._schedule(raw) for raw in self._list()]

    def pause(self, name: str, paused: bool) -> None:
        """Pauses or resumes a schedule."""
        service = self._connection.recurring_runs
        change = (
            service.recurring_run_service_disable_recurring_run
            if paused
            else service.recurring_run_service_enable_recurring_run
        )
        for raw in self._existing(name):
            self._connection.ask(change, raw.recurring_run_id, subject=f"schedule '{name}'")

    def delete(self, name: str) -> None:
        """Removes a schedule."""
        for raw in self._existing(name):
            self._delete(raw)

    def _asked(
        self,
        content: Mapping[str, Any],
        name: str,
        arguments: Mapping[str, Any],
        recurrence: Recurrence,
    ) -> Any:
        import kfp_server_api as api

        settings = self._connection.settings
        asked = api.V2beta1RecurringRun(
            display_name=name,
            pipeline_spec=content,
            runtime_config=api.V2beta1RuntimeConfig(
                parameters=dict(arguments), pipeline_root=settings.pipeline_root or None
            ),
            service_account=settings.service_account or None,
            # The API's int64 is text in JSON.
            max_concurrency=str(recurrence.max_concurrency),
            no_catchup=not recurrence.catch_up,
            trigger=api.V2beta1Trigger(
                cron_schedule=api.V2beta1CronSchedule(
                    cron=kubeflow_cron(recurrence, settings.time_zone)
                )
            ),
            namespace=settings.namespace or None,
            experiment_id=experiment_id(self._connection),
        )
        values = self._connection.client.sanitize_for_serialization(asked)
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
        mark = {"cron": recurrence.cron, "time_zone": recurrence.time_zone, "digest": digest}
        asked.description = _MARK + json.dumps(mark)
        return asked

    def _create(self, asked: Any, paused: bool) -> Any:
        asked.mode = "DISABLE" if paused else "ENABLE"

        def find() -> Any:
            made = self._named(asked.display_name)
            return next((raw for raw in made if raw.description == asked.description), None)

        create = self._connection.recurring_runs.recurring_run_service_create_recurring_run
        return self._connection.make(
            functools.partial(create, asked), find, subject=f"schedule '{asked.display_name}'"
        )

    def _delete(self, raw: Any) -> None:
        # A schedule owns its runs; deleted in the usual way it takes those at work with it.
        self._connection.ask(
            self._connection.recurring_runs.recurring_run_service_delete_recurring_run,
            raw.recurring_run_id,
            propagation_policy="ORPHAN",
            subject=f"schedule '{raw.display_name}'",
        )

    def _named(self, name: str) -> list[Any]:
        """Our recurring runs of a name, the newest first.

        Raises:
            StepError: Someone else has one of that name.
        """
        found = list(self._list(filter=name_filter(name)))
        for raw in found:
            if _mark(raw) is None:
                raise StepError(
                    f"the schedule '{name}' ({raw.recurring_run_id}) was not made by Darkroom; "
                    "give the config another name, or delete it in Kubeflow"
                )
        return found

    def _existing(self, name: str) -> list[Any]:
        found = self._named(name)
        if not found:
            names = {raw.display_name for raw in self._list()}
            hint = nearest(name, names) if names else "; there is none at all"
            raise StepError(f"no schedule is called '{name}'{hint}")
        return found

    def _list(self, **query: str) -> Iterator[Any]:
        namespace = self._connection.settings.namespace
        query |= {"namespace": namespace} if namespace else {}
        token: str | None = ""
        while token is not None:
            answer = self._connection.ask(
                self._connection.recurring_runs.recurring_run_service_list_recurring_runs,
                page_size=_PAGE,
                page_token=token,
                sort_by="created_at desc",
                **query,
            )
            yield from answer.recurring_runs or ()
            token = answer.next_page_token or None

    def _schedule(self, raw: Any) -> Schedule:
        return Schedule(
            id=raw.recurring_run_id,
            name=raw.display_name or "",
            recurrence=_recurrence(raw, self._connection.settings.time_zone),
            paused=raw.status == "DISABLED" or raw.mode == "DISABLE",
            pipeline=raw.pipeline_spec or {},
            arguments=(raw.runtime_config and raw.runtime_config.parameters) or {},
            managed=_mark(raw) is not None,
            run_identity={
                "service_account": raw.service_account or "",
                "pipeline_root": (raw.runtime_config and raw.runtime_config.pipeline_root) or "",
            },
        )


def _all_paused(standing: list[Any]) -> bool:
    return bool(standing) and all(raw.mode == "DISABLE" for raw in standing)


def _mark(raw: Any) -> dict[str, str] | None:
    """What Darkroom wrote into the description of a schedule of its own."""
    _, managed, text = (raw.description or "").partition(_MARK)
    if not managed:
        return None
    try:
        mark = json.loads(text)
    except ValueError:
        return None
    return mark if isinstance(mark, dict) else None


def _recurrence(raw: Any, cluster_zone: str) -> Recurrence:
    trigger = raw.trigger
    if trigger and trigger.cron_schedule and trigger.cron_schedule.cron:
        cron = five_fields(trigger.cron_schedule.cron)
    elif trigger and trigger.periodic_schedule:
        cron = f"@every {trigger.periodic_schedule.interval_second}s"
    else:
        cron = ""
    # As it was given, where that says more: `7` for Sunday, `Etc/UTC`.
    mark = _mark(raw) or {}
    return Recurrence(
        cron=mark.get("cron", cron),
        time_zone=mark.get("time_zone", cluster_zone),
        max_concurrency=int(raw.max_concurrency or 1),
        catch_up=not raw.no_catchup,
    )
