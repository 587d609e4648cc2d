"""The model as KServe knows it, which both REST and gRPC requests reach.

Imported only when a server starts, since KServe's import takes more than a second.
"""

import asyncio
import concurrent.futures
import contextvars
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import kserve
from kserve.errors import InvalidInput
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from components.serve.calls.batching import Batches, Calls
from components.serve.errors import RequestError
from components.serve.protocols.v2_protocol import content_of, predict_v2
from components.serve.samples import SampledCalls, Samples
from components.serve.settings import ServeSettings
from components.serve.shadow import Shadow, ShadowedCalls
from components.serve.telemetry.metrics import observed
from components.serve.telemetry.request_record import current_record
from components.serve.versions.follower import VersionFollower
from components.serve.versions.loaded_model import LoadedModel
from components.serve.versions.routing import version_for


@dataclasses.dataclass(frozen=True)
class Call:
    """A predict request of TF Serving's API, of either protocol.

    Attributes:
        answer: Gives the answer of a version, in the protocol's form.
        content: The request's bytes, in parts, to share requests between versions by.
        version: The version asked for; any where None.
        label: Its label instead, `stable` or `canary`.
    """

    answer: Callable[[LoadedModel, Calls], Any]
    content: Iterable[bytes]
    version: str | None
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer to a `Call`.

    Attributes:
        content: What `Call.answer` gave.
        version: The number of the version that answered.
    """

    content: Any
    version: int


class ServedModel(kserve.Model):  # type: ignore[misc]
    """A model whose version may change between two requests, never within one.

    Args:
        name: The model's name.
        follower: What holds the current version.
        settings: The server's limits.
        is_idle: Whether the server answers nobody now.
        stopped: Called once KServe has answered its last request.
    """

    def __init__(
        self,
        name: str,
        follower: VersionFollower,
        settings: ServeSettings,
        is_idle: Callable[[], bool],
        stopped: Callable[[], None],
    ) -> None:
        super().__init__(name)
        self.follower = follower
        self._stopped = stopped
        self._batches = Batches(settings)
        self._samples = None if settings.sample.folder is None else Samples(settings.sample, name)
        share = settings.shadow
        self._shadow = Shadow(follower, name, share, is_idle) if share else None
        # A thread a request: those that wait for a joint call must not keep others from joining.
        self._threads = concurrent.futures.ThreadPoolExecutor(settings.max_requests, "predict")

    def begin(self) -> None:
        """Answers from now on: a version is loaded."""
        self.ready = True

    def current(
        self, version: str | None = None, content: Iterable[bytes] = (), label: str | None = None
    ) -> LoadedModel:
        """The version that answers a request.

        Args:
            version: The number that was asked for, if any.
            content: The request's bytes, in parts.
            label: The label that was asked for, if any.

        Raises:
            RequestError: That version is not served, or none is loaded yet.
        """
        model = version_for(self.follower, content, version, label)
        if model is None:
            raise RequestError(f"model '{self.name}' is still loading", status=503)
        return model

    async def predict(
        self, payload: Call | kserve.InferRequest, _headers: dict[str, str] | None = None
    ) -> Answer | kserve.InferResponse:
        """Answers in a thread, so that other requests and health checks do not wait.

        Raises:
            RequestError: The request is wrong, or its version is not served.
        """
        if not isinstance(payload, Call):
            return (await self._answer(_v2_call(payload))).content
        return await self._answer(payload)

    async def _answer(self, call: Call) -> Answer:
        record = current_record()
        record.model = self.name
        model = self.current(call.version, call.content, call.label)
        record.version = model.version.number
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        try:
            with observed(self.name, model.version.number), self._batches.expecting():
                content = await loop.run_in_executor(
                    self._threads, context.run, call.answer, model, self._calls(model)
                )
        except asyncio.CancelledError:
            record.abandoned = True
            raise
        return Answer(content, model.version.number)

    def _calls(self, model: LoadedModel) -> Calls:
        calls: Calls = self._batches
        if self._samples is not None:
            calls = SampledCalls(calls, self._samples, model.version.number)
        if self._shadow is not None:
            calls = ShadowedCalls(calls, self._shadow, model)
        return calls

    def load(self) -> bool:
        """Tells KServe, which calls this before a prediction, whether a version is loaded."""
        return bool(self.ready)

    def stop(self) -> None:
        """Called by KServe when the server has answered its last request."""
        super().stop()
        self._stopped()

    def close(self) -> None:
        """Ends comparisons, and writes the samples that wait to be written; called last."""
        if self._shadow is not None:
            self._shadow.close()
        if self._samples is not None:
            self._samples.close()


def _v2_call(request: kserve.InferRequest) -> Call:
    return Call(
        lambda model, batches: predict_v2(model, request, batches),
        content_of(request),
        request.model_version or None,
    )


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
