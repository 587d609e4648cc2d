"""TF Serving's REST API, which KServe's TensorFlow runtime, Vertex and our server speak too."""

import base64
from typing import Any

from components.push.doors.credentials import check_known, headers_for
from components.push.doors.door import TIMEOUT, Answer
from components.push.doors.numbers import probabilities_of, version_number
from darkroom.errors import StepError
from darkroom.servers import http_options

_VERSION_HEADER = "X-Model-Version"
"""What `darkroom serve` names its answers' version by."""


class RestDoor:
    """A model's `:predict`.

    Args:
        url: The model's address without `:predict`, such as
            `http://127.0.0.1:8501/v1/models/flowers`, or a Vertex endpoint's.
    """

    def __init__(self, url: str) -> None:
        import httpx

        self.name = f"REST {url}"
        self._url = f"{url.removesuffix(':predict')}:predict"
        self._client = httpx.Client(timeout=TIMEOUT, headers=headers_for(url), **http_options(url))

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        import httpx

        instance = {"image_bytes": {"b64": base64.b64encode(image).decode()}}
        try:
            response = self._client.post(self._url, json={"instances": [instance]})
        except httpx.HTTPError as error:
            raise StepError(f"{self.name} does not answer: {error}") from None
        check_known(self.name, response.status_code)
        answer = _json(response)
        if response.status_code != 200:
            said = answer.get("error", response.text[:200])
            raise StepError(f"{self.name} answers {response.status_code}: {said}")
        try:
            given = answer["predictions"][0]["probabilities"]
        except (KeyError, IndexError, TypeError):
            raise StepError(f"{self.name} gives no 'probabilities'") from None
        version = response.headers.get(_VERSION_HEADER) or answer.get("modelVersionId")
        return Answer(probabilities_of(given, self.name), version_number(version))

    def close(self) -> None:
        """Ends its connection."""
        self._client.close()


def _json(response: Any) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {}
