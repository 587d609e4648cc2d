"""A message in the words of each channel."""

import dataclasses
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

from darkroom.channels.settings import EmailSettings

_SLACK_TITLE = 150
_SLACK_TEXT = 3000
"""Characters that Slack takes in a block."""


@dataclasses.dataclass(frozen=True)
class Message:
    """What people are told.

    Attributes:
        title: One line that says all that most people want to know.
        details: What else there is to say, by name; one without a name is a line of its own.
        values: The same as JSON values, for programs: a webhook gets them beside the title.
        pictures: Small JPEGs by file name, which go with an e-mail.
    """

    title: str
    details: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pictures: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


def webhook_message(message: Message) -> dict[str, Any]:
    """The JSON that a webhook gets."""
    return {"text": message.title, **message.values}


def slack_message(message: Message) -> dict[str, Any]:
    """The JSON of Slack's incoming webhooks."""
    title = {"type": "plain_text", "text": message.title[:_SLACK_TITLE]}
    blocks: list[dict[str, Any]] = [{"type": "header", "text": title}]
    lines = [
        f"*{_escaped(name)}*: {_slack_value(value)}" if name else _slack_value(value)
        for name, value in message.details
    ]
    if lines:
        body = {"type": "mrkdwn", "text": "\n".join(lines)[:_SLACK_TEXT]}
        blocks.append({"type": "section", "text": body})
    return {"text": _escaped(message.title), "blocks": blocks}


def email_message(message: Message, settings: EmailSettings) -> EmailMessage:
    """The e-mail."""
    mail = EmailMessage()
    mail["Subject"] = f"[darkroom] {message.title}"
    mail["From"] = settings.sender
    mail["To"] = ", ".join(settings.to)
    lines = [f"{name}: {value}" if name else value for name, value in message.details]
    mail.set_content("\n".join([message.title, "", *lines]) + "\n")
    for name, picture in message.pictures.items():
        mail.add_attachment(picture, "image", "jpeg", filename=name, disposition="inline")
    return mail


def _slack_value(value: str) -> str:
    escaped = _escaped(value)
    return f"<{escaped}>" if value.startswith("https://") else escaped


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
