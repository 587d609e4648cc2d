"""Shadow traffic: the canary answers a share of the requests too, and nobody gets its answers.

They are compared with those that were sent, while the server has nothing else to do.
"""

import contextlib
import logging
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from components.serve.calls.batching import Calls
from components.serve.calls.signature_call import Array, call
from components.serve.errors import RequestError
from components.serve.telemetry.metrics import note_shadow
from components.serve.telemetry.request_record import recorded
from components.serve.versions.follower import VersionFollower
from components.serve.versions.loaded_model import LoadedModel
from darkroom.artifacts.model import IMAGE_BYTES

_WAITING = 8
"""Requests that wait for the canary, at most; more are dropped."""
_ROWS = 8
"""Photographs of a request that are compared."""
_LONGEST_WAIT, _LOOK = 5.0, 0.005
"""Seconds in which the server must have been idle once, and between two looks whether it is."""
_LOG_SECONDS = 60.0
_LAST_SECONDS = 1.0
"""For the comparison that runs when the server ends."""
_LOG = logging.getLogger("darkroom.serve")


class _Answered(NamedTuple):
    """A request and its answer.

    Attributes:
        canary: The version that answers it once more.
        signature: The name of the signature.
        inputs: What was asked.
        outputs: What was answered.
        labels: The labels in the order of the probabilities.
        at: When, by `time.monotonic`.
    """

    canary: LoadedModel
    signature: str
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    labels: tuple[str, ...]
    at: float


class Shadow:
    """Compares a canary's answers with those of the version that serves.

    Args:
        follower: What holds the two.
        model: The model's name.
        share: The share of the answers that are compared.
        is_idle: Whether the server answers nobody now.
    """

    def __init__(
        self, follower: VersionFollower, model: str, share: float, is_idle: Callable[[], bool]
    ) -> None:
        self._follower, self._model, self._share = follower, model, share
        self._is_idle = is_idle
        self._random = random.Random()
        self._waiting: queue.Queue[_Answered | None] = queue.Queue(_WAITING)
        self._results: Counter[str] = Counter()
        self._logged_at = time.monotonic()
        self._ends = False
        self._thread = threading.Thread(target=self._compare_all, name="shadow", daemon=True)
        self._thread.start()

    def offer(
        self,
        answered_by: LoadedModel,
        signature: Any,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
    ) -> None:
        """Takes a share of the answers to photographs, or drops them where too many wait.

        Args:
            answered_by: The version that answered; only what the serving one did is compared.
            signature: Its signature.
            inputs: What was asked.
            outputs: What was answered.
        """
        current, canary = self._follower.current, self._follower.canary
        if current is None or canary is None or answered_by.version != current.version:
            return
        if IMAGE_BYTES not in inputs or "probabilities" not in outputs:
            return
        if self._random.random() >= self._share:
            return
        name = next(key for key, each in answered_by.signatures.items() if each is signature)
        asked, given = (
            {key: array[:_ROWS] for key, array in arrays.items()} for arrays in (inputs, outputs)
        )
        labels, now = answered_by.labels, time.monotonic()
        try:
            self._waiting.put_nowait(_Answered(canary, name, asked, given, labels, now))
        except queue.Full:
            self._note(canary, "dropped")

    def close(self) -> None:
        """Ends the comparisons; what waits is left out."""
        self._ends = True
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)  # wakes a thread that waits for more
        self._thread.join(_LAST_SECONDS)

    def _compare_all(self) -> None:
        while not self._ends and (answered := self._waiting.get()) is not None:
            while (
                not (self._ends or self._is_idle())
                and time.monotonic() - answered.at < _LONGEST_WAIT
            ):
                time.sleep(_LOOK)
            if self._is_idle():
                self._compare(answered)
            else:
                self._note(answered.canary, "dropped")
            self._log()

    def _compare(self, answered: _Answered) -> None:
        canary = answered.canary
        try:
            with recorded(()) as record:
                record.model, record.version = self._model, canary.version.number
                outputs = call(canary.signature(answered.signature), answered.inputs)
            same = answered.outputs["label"] == outputs["label"]
            distances = self._distances(answered, outputs["probabilities"])
            for is_same, distance in zip(same, distances, strict=True):
                self._note(canary, "same" if is_same else "other", distance)
        # A canary may lack a signature or an output, or fail in any way: that is what it is for.
        except Exception as error:
            self._note(canary, "failed")
            if not isinstance(error, RequestError):
                _LOG.warning("%s: the canary fails: %s", self._model, error)

    def _distances(self, answered: _Answered, others: Array) -> list[float | None]:
        """How far any probability of each photograph is off; None where labels are others."""
        probabilities = answered.outputs["probabilities"]
        if answered.labels != answered.canary.labels or probabilities.shape != others.shape:
            return [None] * len(others)
        distances: list[float | None] = np.abs(probabilities - others).max(axis=-1).tolist()
        return distances

    def _note(self, canary: LoadedModel, result: str, distance: float | None = None) -> None:
        note_shadow(self._model, canary.version.number, result, distance)
        self._results[result] += 1

    def _log(self) -> None:
        if time.monotonic() - self._logged_at < _LOG_SECONDS:
            return
        self._logged_at = time.monotonic()
        results, self._results = self._results, Counter()
        same, compared = results["same"], results["same"] + results["other"]
        _LOG.info(
            "%s: the canary gives the same label to %d of %d photographs; %d requests failed, "
            "%d were dropped",
            *(self._model, same, compared, results["failed"], results["dropped"]),
        )


class ShadowedCalls:
    """Calls of a version's signatures, of which a share is compared with the canary's.

    Args:
        calls: What calls signatures.
        shadow: What compares.
        model: The version.
    """

    def __init__(self, calls: Calls, shadow: Shadow, model: LoadedModel) -> None:
        self._calls, self._shadow, self._model = calls, shadow, model

    def call(self, signature: Any, inputs: dict[str, Array]) -> dict[str, Array]:
        """Calls a signature; see `Batches.call`."""
        outputs = self._calls.call(signature, inputs)
        self._shadow.offer(self._model, signature, inputs, outputs)
        return outputs
