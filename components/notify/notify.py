"""The notify step: says how a run ended to those who want to know."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

from components.notify import channels, messages
from components.notify.outcome import Outcome, run_page, with_findings
from components.notify.settings import NotifySettings, Result
from darkroom.artifacts.manifest import atomic_artifact, write_manifest

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
    sent: dict[str, str] = {}
    for name, send in _channels(outcome, settings).items():
        try:
            send()
            sent[name] = "sent"
            _log.info("%s: told", name)
        # Whatever is wrong with a message, the run ended as it did.
        except Exception as error:
            sent[name] = str(error) or type(error).__name__
            _log.warning("%s: not told: %s", name, sent[name])
    return sent


def _channels(outcome: Outcome, settings: NotifySettings) -> dict[str, Callable[[], None]]:
    webhook, slack, email = settings.webhook, settings.slack, settings.email
    found: dict[str, Callable[[], None]] = {}
    if webhook is not None:
        found["webhook"] = lambda: channels.post(
            channels.secret(webhook), messages.webhook_message(outcome)
        )
    if slack is not None:
        found["slack"] = lambda: channels.post(
            channels.secret(slack), messages.slack_message(outcome)
        )
    if email is not None:
        found["email"] = lambda: channels.mail(messages.email_message(outcome, email), email)
    return found
