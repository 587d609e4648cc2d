"""TF Serving's REST API."""

import base64
import email.utils
import re
import time
from collections.abc import Sequence
from typing import Any

import httpx

from components.predict.models.model import TooLargeError, UnreadableError
from components.predict.models.retries import BusyError
from darkroom.errors import SettingsError, StepError
from darkroom.servers import http_options

_TIMEOUT = 120.0
_BUSY = frozenset({408, 429, 502, 503, 504})
"""Answers after which the same request may be answered."""
_TOO_LARGE = 413


class RestClient:
    """Connections to a server over HTTP.

    Args:
        address: The model's address, such as `http://127.0.0.1:8501/v1/models/flowers`.
        key: The key that the server asks for, or "".

    Raises:
        SettingsError: It is no address.
    """

    def __init__(self, address: str, key: str) -> None:
        try:
            httpx.URL(address)
        except httpx.InvalidURL as error:
            raise SettingsError(f"'{address}' is no address: {error}") from None
        self._address = re.sub(r"/versions/\d+$", "", address)
        pinned = re.search(r"/versions/(\d+)$", address)
        self._pinned = None if pinned is None else int(pinned[1])
        self._client = httpx.Client(
            timeout=_TIMEOUT,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            **http_options(address),
        )

    def version(self) -> int:
        """The number of the version that serves; see `Client`."""
        if self._pinned is not None:
            return self._pinned
        found = self._get("")
        try:
            for status in found.get("model_version_status", ()):
                if status.get("state") == "AVAILABLE":
                    return int(status["version"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StepError(
                f"{self._address} states no version: is it a model's address?"
            ) from None
        raise BusyError(f"{self._address} serves no version yet")

    def labels(self, version: int) -> tuple[str, ...]:
        """The labels of a version, which only our server says; see `Client`."""
        found = self._get(f"/versions/{version}/metadata")
        try:
            labels = found.get("labels") or found.get("metadata", {}).get("labels") or {}
            return tuple(map(str, labels.get("names", ())))
        except (AttributeError, TypeError):
            return ()

    def ask(self, signature: str, images: Sequence[bytes], version: int) -> dict[str, Any]:
        """The outputs of a signature; see `Client`."""
        instances = [{"b64": base64.b64encode(image).decode()} for image in images]
        body = {"signature_name": signature, "instances": instances}
        answer = self._send("POST", f"/versions/{version}:predict", body)
        rows = answer.get("predictions")
        if not isinstance(rows, list) or len(rows) != len(images):
            raise StepError(f"{self._address} gives no 'predictions' for {len(images)} images")
        if rows and not isinstance(rows[0], dict):  # a signature of one output
            return {signature: rows}
        try:
            return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
        except (KeyError, TypeError):
            raise StepError(f"{self._address} gives rows of different outputs") from None

    def _get(self, path: str) -> dict[str, Any]:
        return self._send("GET", path)

    def _send(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        url = f"{self._address}{path}"
        try:
            response = self._client.request(method, url, json=body)
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            raise BusyError(f"{self._address} does not answer: {said}") from None
        status = response.status_code
        if status in _BUSY:
            raise BusyError(
                f"{self._address} answers {status}: {_said(response)}",
                _asked_wait(response.headers.get("Retry-After")),
            )
        if body is not None and status == _TOO_LARGE:
            raise TooLargeError(_said(response))
        if body is not None and status == 400:
            raise UnreadableError(_said(response))
        if status == 404 and "/versions/" in path:
            version = path.split("/")[2].partition(":")[0]
            raise StepError(
                f"{self._address} does not serve version {version} any more ({_said(response)}): "
                "predict again, to another folder"
            )
        if status != 200:
            raise StepError(f"{self._address} answers {status}: {_said(response)}")
        try:
            found = response.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise StepError(f"{self._address} gives no JSON object: is it a model's address?")
        return found


def _said(response: httpx.Response) -> str:
    try:
        text = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        text = response.text
    return " ".join(str(text).split())[:200]


def _asked_wait(header: str | None) -> float | None:
    """Seconds that a `Retry-After` asks for: it is a number of them, or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
