"""Settings of the channels."""

import re
from typing import Annotated, Literal

import pydantic

from darkroom.settings import Settings

_SECRET = r"[A-Za-z_][A-Za-z0-9_]*|projects/[^/]+/secrets/[^/]+/versions/[^/]+"


def _check_secret(name: str) -> str:
    if not re.fullmatch(_SECRET, name):
        # Not shown: the value may be the secret.
        raise ValueError(
            "expected where the secret is, not the secret: the name of an environment variable, "
            "or projects/P/secrets/S/versions/V of Secret Manager"
        )
    return name


Secret = Annotated[str, pydantic.AfterValidator(_check_secret)]
"""Where a secret is: the name of an environment variable, or a Secret Manager version."""


class EmailSettings(Settings):
    """An e-mail over SMTP."""

    server: str = pydantic.Field(min_length=1)
    """Host of the SMTP server."""
    port: int = pydantic.Field(default=587, ge=1, le=65535)
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is kept private; `none` is for a relay on the same network."""
    sender: str = pydantic.Field(pattern=r"^[^@\s]+@[^@\s]+$")
    """Address that the e-mail comes from."""
    to: tuple[Annotated[str, pydantic.Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = pydantic.Field(
        min_length=1
    )
    """Addresses that it goes to."""
    user: str | None = None
    """Account on the server. Unset: none is needed."""
    password: Secret = "DARKROOM_SMTP_PASSWORD"
    """Where the account's password is: an environment variable, or a Secret Manager version."""


class ChannelSettings(Settings):
    """Who is told. Without any of the three, only the log is."""

    webhook: Secret | None = None
    """Where the address is that gets the message as JSON (it lets anyone post, so it is a secret):
    an environment variable, or a Secret Manager version."""
    slack: Secret | None = None
    """The same of a Slack incoming webhook, or of any that takes Slack's format."""
    email: EmailSettings | None = None
    """An e-mail with the message."""

    @property
    def names(self) -> tuple[str, ...]:
        """The channels that are set."""
        return tuple(name for name in ("webhook", "slack", "email") if getattr(self, name))
