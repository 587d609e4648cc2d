"""Sends messages: by HTTP, by SMTP."""

import http.client
import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any

import tenacity

from darkroom.channels.settings import EmailSettings
from darkroom.errors import StepError

_SECONDS = 10
"""How long a server may take to answer."""
_WAITS = (0.5, 2.0)
"""Seconds before each further attempt."""
_BUSY = (429, 500, 502, 503, 504)


class _BusyError(StepError):
    """A server that is busy or does not answer; a further attempt may succeed."""


# A lost answer is asked for again too: two reports are better than none.
@tenacity.retry(
    retry=tenacity.retry_if_exception_type(_BusyError),
    stop=tenacity.stop_after_attempt(len(_WAITS) + 1),
    wait=tenacity.wait_chain(*(tenacity.wait_fixed(seconds) for seconds in _WAITS)),
    reraise=True,
)
def post(address: str, message: Mapping[str, Any]) -> None:
    """Posts JSON; a server that is busy or does not answer is asked again.

    Raises:
        StepError: It refuses, or does not answer; the address is a secret, and not in the message.
    """
    body = json.dumps(message).encode()
    # HTTP libraries that retry log the addresses, and these are secrets.
    try:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_SECONDS):
            return
    except urllib.error.HTTPError as error:
        kind = _BusyError if error.code in _BUSY else StepError
        raise kind(f"refused with {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = type(getattr(error, "reason", error)).__name__
        raise _BusyError(f"no answer ({cause})") from None


def mail(message: EmailMessage, settings: EmailSettings) -> None:
    """Hands an e-mail to the SMTP server.

    Raises:
        StepError: The server refuses, or does not answer.
    """
    context = ssl.create_default_context()
    try:
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.server, settings.port, timeout=_SECONDS, context=context
            )
        else:
            server = smtplib.SMTP(settings.server, settings.port, timeout=_SECONDS)
        with server:
            if settings.security == "starttls":
                server.starttls(context=context)
            if settings.user is not None:
                server.login(settings.user, secret(settings.password))
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise StepError(f"{settings.server}:{settings.port}: {error}") from None


def secret(name: str) -> str:
    """A secret's value.

    Args:
        name: An environment variable, or `projects/P/secrets/S/versions/V`.

    Raises:
        StepError: It is not there, or may not be read.
    """
    if not name.startswith("projects/"):
        value = os.environ.get(name, "")
        if not value:
            raise StepError(f"the environment variable {name} is not set")
        return value
    import base64

    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    try:
        credentials, _ = google.auth.default(["https://www.googleapis.com/auth/cloud-platform"])
        address = f"https://secretmanager.googleapis.com/v1/{name}:access"
        answer = AuthorizedSession(credentials).get(address, timeout=_SECONDS)
        answer.raise_for_status()
    except (GoogleAuthError, OSError) as error:
        raise StepError(
            f"cannot read {name} ({type(error).__name__}): the run's service account needs "
            "roles/secretmanager.secretAccessor on it"
        ) from None
    return base64.b64decode(answer.json()["payload"]["data"]).decode()
