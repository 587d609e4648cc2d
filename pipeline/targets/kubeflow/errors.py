"""What Kubeflow's API says when it refuses, in one line that names the fix."""

import json
from typing import Any

from darkroom.errors import StepError
from pipeline.settings.cluster import KubeflowSettings
from pipeline.target import TransientError

LOST_STATUSES = frozenset((429, 502, 503, 504))
"""Answers after which the same call may do later."""
LONGEST_MESSAGE = 400
"""Characters of a server's message that are shown."""


def to_step_error(error: Any, settings: KubeflowSettings, subject: str) -> StepError:
    """The error for people of an answer that is none.

    Args:
        error: The client's ApiException.
        settings: Where the API is, and as whom it was asked.
        subject: What was asked for, such as `run 123`.
    """
    status, message = error.status, server_message(error.body)
    if status in LOST_STATUSES:
        return TransientError(
            f"Kubeflow at {settings.host} is too busy ({status}: {message}); try again later"
        )
    if status == 401:
        return StepError(_unauthenticated(settings))
    if 300 <= status < 400:
        return StepError(
            f"{settings.host} sends us on to {error.headers.get('Location', '')}: where that "
            "is a sign-in, the token of cluster.kfp.token_file is missing or has expired; where it "
            "is Kubeflow, it belongs into cluster.kfp.host"
        )
    if status == 403:
        namespace = settings.namespace or "of the runs (set cluster.kfp.namespace to yours)"
        return StepError(
            f"Kubeflow does not allow it: {message}; the token's owner needs the cluster role "
            "kubeflow-pipelines-edit (to look on: kubeflow-pipelines-view) in the namespace "
            f"{namespace}"
        )
    if status == 404 and not _is_the_apis(error.body):
        return StepError(
            f"there is no Kubeflow Pipelines API at {settings.host}; check cluster.kfp.host (it "
            "often ends in /pipeline)"
        )
    if status == 404:
        return StepError(f"there is no {subject or 'such thing'} at {settings.host}: {message}")
    if status == 409:
        return StepError(f"{subject or 'it'} is there already, or was changed meanwhile: {message}")
    return StepError(f"Kubeflow refuses{f' {subject}' if subject else ''} ({status}): {message}")


def unreachable(error: Exception, host: str) -> TransientError:
    """The error for people of a connection that did not come about, or broke."""
    import urllib3.exceptions as kinds

    if isinstance(error, kinds.NameResolutionError):
        reason = "no machine has that name"
    elif isinstance(error, kinds.NewConnectionError):
        reason = "nothing answers at that address"
    elif isinstance(error, kinds.TimeoutError):
        reason = "no answer in time"
    else:
        reason = " ".join(str(error).split())
    return TransientError(
        f"cannot reach Kubeflow at {host}: {reason}; check cluster.kfp.host, the network and, "
        "where it is used, kubectl port-forward"
    )


def server_message(body: str | None) -> str:
    """The message in an error's body, as one line of bounded length."""
    try:
        values = json.loads(body or "")
        text = values.get("message") or values.get("error") or values.get("error_message")
    except (ValueError, AttributeError):
        text = body
    line = " ".join(str(text or "no message").split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}..."


def _is_the_apis(body: str | None) -> bool:
    """Whether the API wrote this body, and not some web server before it."""
    try:
        return "message" in json.loads(body or "")
    except (ValueError, TypeError):
        return False


def _unauthenticated(settings: KubeflowSettings) -> str:
    if settings.token_file is None:
        return f"Kubeflow at {settings.host} wants a token: set cluster.kfp.token_file"
    return (
        f"Kubeflow at {settings.host} does not take the token in {settings.token_file}: it has "
        "expired or is another cluster's; write a new one there"
    )
