"""Tells everyone; one who cannot be told is a warning in the log, and no failure."""

import logging
from collections.abc import Callable, Collection, Mapping

from darkroom.channels import sending
from darkroom.channels.message import Message, email_message, slack_message, webhook_message
from darkroom.channels.settings import ChannelSettings

SENT = "sent"


def tell(
    message: Message,
    settings: ChannelSettings,
    log: logging.Logger,
    channels: Collection[str] | None = None,
) -> dict[str, str]:
    """Sends a message by the channels that are set.

    Args:
        message: What is said.
        settings: Who is told.
        log: Of the one that tells.
        channels: Those of them to send by, such as `slack`; all of them if left out.

    Returns:
        For each channel `sent`, or why not.
    """
    sent: dict[str, str] = {}
    for name, send in _senders(message, settings).items():
        if channels is not None and name not in channels:
            continue
        try:
            send()
            sent[name] = SENT
            log.info("%s: told", name)
        # Whatever is wrong with a message, what it tells of has happened all the same.
        except Exception as error:
            sent[name] = str(error) or type(error).__name__
            log.warning("%s: not told: %s", name, sent[name])
    return sent


def _senders(message: Message, settings: ChannelSettings) -> Mapping[str, Callable[[], None]]:
    webhook, slack, email = settings.webhook, settings.slack, settings.email
    found: dict[str, Callable[[], None]] = {}
    if webhook is not None:
        found["webhook"] = lambda: sending.post(sending.secret(webhook), webhook_message(message))
    if slack is not None:
        found["slack"] = lambda: sending.post(sending.secret(slack), slack_message(message))
    if email is not None:
        found["email"] = lambda: sending.mail(email_message(message, email), email)
    return found
