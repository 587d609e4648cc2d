"""A run's outcome in the words of each channel."""

import dataclasses
from email.message import EmailMessage
from typing import Any

from components.notify.outcome import Outcome
from components.notify.settings import EmailSettings

_RESULTS = {
    "succeeded": "succeeded",
    "not_blessed": "model not blessed",
    "failed": "failed",
    "cancelled": "cancelled",
}
_SLACK_TEXT = 3000
"""Characters that Slack takes in a block."""


def title(outcome: Outcome) -> str:
    """One line that says all that most people want to know."""
    return f"{outcome.pipeline}: {_RESULTS[outcome.result]}"


def details(outcome: Outcome) -> list[tuple[str, str]]:
    """What else there is to say, by name."""
    accuracy = outcome.metrics.get("accuracy")
    lines = [
        ("error", outcome.error),
        ("accuracy", f"{accuracy:.3f}" if isinstance(accuracy, float) else ""),
        ("not blessed", "; ".join(outcome.reasons)),
        ("pushed", outcome.pushed),
        ("report", outcome.report),
        ("run", outcome.page),
    ]
    return [(name, value) for name, value in lines if value]


def webhook_message(outcome: Outcome) -> dict[str, Any]:
    """The JSON that a webhook gets."""
    return {"text": title(outcome), **dataclasses.asdict(outcome)}


def slack_message(outcome: Outcome) -> dict[str, Any]:
    """The JSON of Slack's incoming webhooks."""
    head = {"type": "header", "text": {"type": "plain_text", "text": title(outcome)[:150]}}
    lines = [f"*{name}*: {_slack_value(value)}" for name, value in details(outcome)]
    body = {"type": "mrkdwn", "text": "\n".join(lines)[:_SLACK_TEXT]}
    blocks = [head, {"type": "section", "text": body}] if lines else [head]
    return {"text": _escaped(title(outcome)), "blocks": blocks}


def email_message(outcome: Outcome, settings: EmailSettings) -> EmailMessage:
    """The e-mail."""
    message = EmailMessage()
    message["Subject"] = f"[darkroom] {title(outcome)}"
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.to)
    lines = [title(outcome), "", *(f"{name}: {value}" for name, value in details(outcome))]
    message.set_content("\n".join(lines) + "\n")
    return message


def _slack_value(value: str) -> str:
    escaped = _escaped(value)
    return f"<{escaped}>" if value.startswith("https://") else escaped


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
