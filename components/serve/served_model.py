"""The model as KServe knows it, which both REST and gRPC requests reach.

Imported only when a server starts, since KServe's import takes more than a second.
"""

import asyncio
import dataclasses
from collections.abc import Iterable
from typing import Any, NoReturn

import kserve
from kserve.errors import InvalidInput, ModelNotReady
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from components.serve.errors import RequestError
from components.serve.follower import VersionFollower
from components.serve.loaded_model import LoadedModel
from components.serve.prediction import predict_json
from components.serve.routing import version_for
from components.serve.settings import ServeSettings
from components.serve.v2_protocol import content_of, input_types, output_types, predict_v2


@dataclasses.dataclass(frozen=True)
class JsonCall:
    """A call of TF Serving's predict API.

    Attributes:
        body: The request's body.
        version: The version asked for, as the URL has it; any where None.
    """

    body: bytes
    version: str | None


@dataclasses.dataclass(frozen=True)
class JsonAnswer:
    """An answer of TF Serving's predict API.

    Attributes:
        body: Its body.
        version: The number of the version that answered.
    """

    body: bytes
    version: int


class ServedModel(kserve.Model):  # type: ignore[misc]
    """A model whose version may change between two requests, never within one.

    Args:
        name: The model's name.
        follower: What holds the current version.
        settings: The server's limits.
    """

    def __init__(self, name: str, follower: VersionFollower, settings: ServeSettings) -> None:
        super().__init__(name)
        self.follower = follower
        self.settings = settings
        self.stopping = asyncio.Event()

    def current(self, version: str | None = None, content: Iterable[bytes] = ()) -> LoadedModel:
        """The version that answers a request.

        Args:
            version: The number that was asked for, if any.
            content: The request's bytes, in parts.

        Raises:
            RequestError: That version is not served, or none is loaded yet.
        """
        model = version_for(self.follower, content, version)
        if model is None:
            raise RequestError(f"model '{self.name}' is still loading", status=503)
        return model

    async def predict(
        self,
        payload: JsonCall | kserve.InferRequest,
        _headers: dict[str, str] | None = None,
    ) -> JsonAnswer | kserve.InferResponse:
        """Answers in a thread, so that other requests and health checks do not wait.

        Raises:
            RequestError: A `JsonCall` that cannot be answered.
            InvalidInput: The same of KServe's V2 protocol.
        """
        if isinstance(payload, JsonCall):
            model = self.current(payload.version, [payload.body])
            body = await asyncio.to_thread(predict_json, model, payload.body, self.settings)
            return JsonAnswer(body, model.version.number)
        try:
            model = self.current(payload.model_version or None, content_of(payload))
            return await asyncio.to_thread(predict_v2, model, payload, self.settings)
        except RequestError as error:
            # Half a character, which text may quote, cannot be written in any answer.
            text = str(error).encode("utf-8", "backslashreplace").decode()
            raise InvalidInput(text) from None

    def get_input_types(self) -> list[dict[str, Any]]:
        """The inputs in KServe's V2 metadata."""
        return input_types(self._current_or_not_ready())

    def get_output_types(self) -> list[dict[str, Any]]:
        """The outputs in KServe's V2 metadata."""
        return output_types(self._current_or_not_ready())

    def load(self) -> bool:
        """Tells KServe, which calls this before a prediction, whether a version is loaded."""
        return bool(self.ready)

    def stop(self) -> None:
        """Called by KServe when the server has answered its last request."""
        super().stop()
        self.stopping.set()

    def _current_or_not_ready(self) -> LoadedModel:
        if self.follower.current is None:
            raise ModelNotReady(self.name)
        return self.follower.current


class ReadOnlyRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """KServe's model repository API, which refuses to load and unload models.

    Anyone who reaches the port could otherwise end the service.
    """

    async def load(self, model_name: str) -> NoReturn:
        """Refuses."""
        raise InvalidInput(f"{model_name} is served from its directory: push a version")

    async def unload(self, model_name: str) -> NoReturn:
        """Refuses."""
        raise InvalidInput(f"{model_name} is served from its directory: roll it back")
