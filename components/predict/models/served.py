"""A served model, by TF Serving's APIs over REST or gRPC, which our server speaks too.

Every request asks for the version that served when the work began: a server that has gone on to
another refuses it, so that the answers of two models are never mixed.
"""

import base64
import dataclasses
import functools
import os
import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from components.predict.models.model import Facts, Outputs, UnreadableError, signatures_to_ask
from components.predict.models.retries import RateLimit, patiently
from components.predict.settings import PredictSettings
from darkroom.artifacts.model import EMBEDDING, SIGNATURE_OUTPUTS, WITH_EMBEDDING
from darkroom.errors import SettingsError, StepError
from darkroom.servers import API_KEY_VARIABLE

PROBE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mNsaGhgwAaYGHCAwSkBADAX"
    "AZDUexXGAAAAAElFTkSuQmCC"
)
"""A photograph that every model can read: 8 by 8 grey pixels, a PNG."""
_VECTORS = frozenset({"probabilities", EMBEDDING})
_PLACES, _SAME_ANSWER = 3, 2e-3
"""Decimal places of the answer that a model is known by, and how far another may be off."""
FORMS = "http://HOST:PORT/v1/models/NAME or grpc://HOST:PORT/NAME"
_REST = re.compile(r"https?://[^/]+/(.*/)?v1/models/[^/]+(/versions/(?P<version>\d+))?/?")
_GRPC = re.compile(r"grpcs?://(?P<host>[^/]+)/(?P<name>[^/]+)/?")


class Client(Protocol):
    """A connection to a server."""

    def version(self) -> int:
        """The number of the version that serves."""

    def labels(self, version: int) -> tuple[str, ...]:
        """The labels of a version; none where the server does not say."""

    def ask(self, signature: str, images: Sequence[bytes], version: int) -> dict[str, Any]:
        """The outputs of a signature by name.

        Raises:
            BusyError: The server may answer later.
            TooLargeError: It may answer to fewer images at a time.
            UnreadableError: It cannot read one of the images.
            StepError: It refuses, or does not serve that version any more.
        """


def is_address(location: str) -> bool:
    """Whether a location is a server's address, and no folder or bucket."""
    return re.match(r"(https?|grpcs?)://", location) is not None


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A served model, and what is asked of it.

    Attributes:
        address: Its address.
        facts: What the server says of it.
        signatures: What gives together what is asked for.
        requests_per_second: Most requests a second of this process.
        patience: Seconds for which a request is tried again.
        parallel: Requests at a time.
    """

    address: str
    facts: Facts
    signatures: tuple[str, ...]
    requests_per_second: float | None
    patience: float
    parallel: int

    def ask(self, images: Sequence[bytes]) -> Outputs:
        """Asks the server; see `Model`."""
        version = self.facts.version
        assert version is not None
        client, limit = _client(self.address), _limit(self.address, self.requests_per_second)
        outputs: dict[str, Any] = {}
        for signature in self.signatures:

            def call(signature: str = signature) -> dict[str, Any]:
                limit.wait()
                return client.ask(signature, images, version)

            outputs |= patiently(call, self.patience)
        arrays = self._checked(outputs, len(images))
        self._check_labels(arrays)
        return arrays

    def _checked(self, outputs: dict[str, Any], count: int) -> dict[str, Any]:
        """The outputs as arrays, if they are those of our signatures."""
        expected = set().union(*(SIGNATURE_OUTPUTS[name] for name in self.signatures))
        if missing := expected - outputs.keys():
            raise StepError(f"{self.address} gives no '{min(missing)}'")
        try:
            arrays = {name: np.asarray(values) for name, values in outputs.items()}
            for name in _VECTORS & arrays.keys():
                arrays[name] = arrays[name].astype(np.float32).reshape(count, -1)
            arrays["label_index"] = arrays["label_index"].astype(np.int64)
            arrays["probability"] = arrays["probability"].astype(np.float32)
        except (TypeError, ValueError) as error:
            raise StepError(f"{self.address} gives what is no answer: {error}") from None
        return arrays

    def _check_labels(self, outputs: Outputs) -> None:
        """Checks that a server started anew serves no other model by the same name and number."""
        labels = self.facts.labels
        if not labels:
            return
        width = outputs["probabilities"].shape[1]
        texts = {each.decode() if isinstance(each, bytes) else each for each in outputs["label"]}
        if width != len(labels) or not texts <= set(labels):
            raise self._another()

    def check(self) -> None:
        """Asks about the plain photograph again; see `Model`."""
        try:
            now = self.ask([PROBE])["probabilities"][0]
        except UnreadableError:
            raise self._another() from None
        before = self.facts.answer
        if len(now) != len(before) or np.abs(now - before).max() > _SAME_ANSWER:
            raise self._another()

    def _another(self) -> StepError:
        return StepError(
            f"{self.address} serves another model than when this work began: "
            "predict again, to another folder"
        )


def find_served(settings: PredictSettings) -> ServedModel:
    """Asks a server which version serves.

    Args:
        settings: `model` is its address.

    Raises:
        SettingsError: The address has none of the known forms.
        StepError: The server does not answer, serves no such model, or has no such signature.
    """
    address = str(settings.model).rstrip("/")
    client = _client(address)
    version = patiently(client.version, settings.patience)
    labels = patiently(lambda: client.labels(version), settings.patience)
    facts = Facts(labels, "", version)
    model = ServedModel(
        *(address, facts, signatures_to_ask(settings.embedding, at_once=True)),
        *(settings.requests_per_second, settings.patience, settings.parallel_requests),
    )
    try:
        outputs = _answer_at_once(model)
        if outputs is None:
            two = signatures_to_ask(settings.embedding, at_once=False)
            model = dataclasses.replace(model, signatures=two)
            outputs = model.ask([PROBE])
    except UnreadableError as error:  # of which each photograph would be accused
        raise StepError(f"{address} does not answer to any photograph: {error}") from None
    answer = tuple(round(float(value), _PLACES) for value in outputs["probabilities"][0])
    return dataclasses.replace(model, facts=facts._replace(answer=answer))


def _answer_at_once(model: ServedModel) -> Outputs | None:
    """What a server says of the plain photograph; None where it has not the signature of both."""
    try:
        return model.ask([PROBE])
    except (StepError, UnreadableError):
        if model.signatures != (WITH_EMBEDDING,):
            raise
        return None


@functools.cache
def _client(address: str) -> Client:
    key = os.environ.get(API_KEY_VARIABLE, "").strip()
    if _REST.fullmatch(address):
        from components.predict.models.rest import RestClient

        return RestClient(address, key)
    if match := _GRPC.fullmatch(address):
        from components.predict.models.tf_serving import GrpcClient

        return GrpcClient(match["host"], match["name"], address.startswith("grpcs"), key)
    raise SettingsError(f"'{address}' is no model's address; expected {FORMS}")


@functools.cache
def _limit(_address: str, per_second: float | None) -> RateLimit:
    return RateLimit(per_second)
