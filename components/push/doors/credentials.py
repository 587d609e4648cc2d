"""What a server wants to know of who asks: a key, or Google's own credentials."""

import os

from darkroom.errors import SettingsError, StepError
from darkroom.servers import API_KEY_VARIABLE

_UNAUTHORIZED = 401
_VERTEX = (".googleapis.com", ".vertexai.goog")


def headers_for(url: str) -> dict[str, str]:
    """The headers that say who asks, from the environment; none where nothing is set.

    Raises:
        StepError: Google's credentials are wanted, and are not to be had.
    """
    import httpx

    parsed = httpx.URL(url)
    if parsed.scheme == "https" and parsed.host.endswith(_VERTEX):
        return {"Authorization": f"Bearer {_google_token(url)}"}
    # A secret that was read from a file often ends with a line break, which no header may hold.
    key = os.environ.get(API_KEY_VARIABLE, "").strip()
    return {"Authorization": f"Bearer {key}"} if key else {}


def check_known(door: str, status: int) -> None:
    """Checks that a server has not answered that it does not know who asks.

    Args:
        door: The door's name, for the message.
        status: The HTTP status of its answer.

    Raises:
        SettingsError: It has: no later answer will be another.
    """
    if status == _UNAUTHORIZED:
        raise SettingsError(f"{door} wants a key that it knows: set {API_KEY_VARIABLE} to it")


def _google_token(url: str) -> str:
    import google.auth
    import google.auth.transport.requests

    try:
        found, _ = google.auth.default(["https://www.googleapis.com/auth/cloud-platform"])
        found.refresh(google.auth.transport.requests.Request())
    except google.auth.exceptions.GoogleAuthError as error:
        raise StepError(f"no credentials for {url}: {error}") from None
    return str(found.token)
