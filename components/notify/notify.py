"""The notify step: says how a run ended to those who want to know."""

import dataclasses
import logging
from pathlib import Path

from components.notify.messages import outcome_message
from components.notify.outcome import Outcome, run_page, with_findings
from components.notify.settings import NotifySettings, Result
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.channels.tell import tell

_log = logging.getLogger("darkroom.notify")

_RESULTS: dict[str, Result] = {
    "SUCCEEDED": "succeeded",
    "COMPLETE": "succeeded",
    "CACHED": "succeeded",
    "CANCELLED": "cancelled",
    "CANCELED": "cancelled",
}
"""Clusters' words for how a run ended; any other is a failure."""


def notify(
    pipeline: str,
    state: str,
    error: str,
    run: str,
    run_id: str,
    host: str,
    settings: NotifySettings,
    *,
    notified: Path,
) -> str:
    """Reports how a run ended, with the address of its report.

    Args:
        pipeline: The pipeline's name.
        state: The run's state in the cluster's words, such as `SUCCEEDED`.
        error: Why it failed, as far as the cluster says.
        run: The cluster's name of the run; Vertex's says where its page is.
        run_id: The run's id on Kubeflow.
        host: Address of Kubeflow, or "".
        settings: Who is told.
        notified: Output: what was reported, and to whom.

    Returns:
        How the run ended.
    """
    told = Outcome(
        pipeline, _RESULTS.get(state.upper(), "failed"), error, run_page(run, run_id, host)
    )
    outcome = with_findings(told, notified)
    sent = report(outcome, settings)
    with atomic_artifact(notified) as temporary:
        write_manifest(
            temporary, "notified", {"outcome": dataclasses.asdict(outcome), "sent": sent}
        )
    return outcome.result


def report(outcome: Outcome, settings: NotifySettings) -> dict[str, str]:
    """Tells everyone. One who cannot be told is a warning in the log, and no failure.

    Args:
        outcome: How the run ended.
        settings: Who is told, and of which ends.

    Returns:
        For each channel `sent`, or why not.
    """
    if outcome.result not in settings.when:
        return {}
    return tell(outcome_message(outcome), settings, _log)
