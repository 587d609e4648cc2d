"""Settings of the notify step."""

from typing import Literal

from darkroom.channels.settings import ChannelSettings

Result = Literal["succeeded", "not_blessed", "failed", "cancelled"]
"""How a run ended; `not_blessed`: every step succeeded, and the model was not pushed."""


class NotifySettings(ChannelSettings):
    """Who hears how a run ended. Without any of the three channels, only the log does."""

    when: tuple[Result, ...] = ("succeeded", "not_blessed", "failed", "cancelled")
    """The ends that are reported."""
