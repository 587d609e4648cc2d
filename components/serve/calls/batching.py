"""Requests that wait at the same time for one signature of one version share a call of it."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from components.serve.calls.request_checks import check_values
from components.serve.calls.signature_call import Array, call, input_specs, outputs_of
from components.serve.errors import RequestError, graph_errors
from components.serve.settings import ServeSettings
from components.serve.telemetry.metrics import note_wait
from components.serve.telemetry.request_record import current_record
from components.serve.telemetry.tracing import note_call_times

Outputs = dict[str, Array]

_PAUSE = 0.0005
"""Seconds between two looks whether others have come."""


class Calls(Protocol):
    """What calls signatures."""

    def call(self, signature: Any, inputs: dict[str, Array]) -> Outputs:
        """Calls a signature; see `Batches.call`."""


class _Request:
    """A request in a queue, and what its thread is woken with: answers, the lead, or nothing."""

    def __init__(self, inputs: dict[str, Array], rows: int, pixels: int) -> None:
        self.inputs, self.rows, self.pixels = inputs, rows, pixels
        self.record = current_record()
        self.queued_at = self.called_at = time.time_ns()
        self.woken = threading.Event()
        self.leads = False
        self.outputs: Outputs | None = None


class Batches:
    """Where every door calls a signature, once the values are checked.

    A request that finds nobody at work calls the signature at once. Those that come meanwhile
    queue; the first of them then calls it for as many as fit. A queue belongs to one signature of
    one loaded version, so versions are never mixed. A request of more than `batch_size` instances
    takes several calls, between which others get theirs.

    Args:
        settings: The limits of a request, which hold for a joint call too, and those of a batch.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._queues: dict[Hashable, deque[_Request]] = {}
        """By signature; one that is here has a request that leads."""
        self._expected = 0

    @contextlib.contextmanager
    def expecting(self) -> Iterator[None]:
        """Counts a request that others may wait for, as long as the block lasts."""
        with self._lock:
            self._expected += 1
        try:
            yield
        finally:
            with self._lock:
                self._expected -= 1

    def call(self, signature: Any, inputs: dict[str, Array]) -> Outputs:
        """Calls a signature; blocks until the answer is there.

        Args:
            signature: A SavedModel's signature.
            inputs: An array for each of its inputs.

        Returns:
            An array for each of its outputs, strings as objects.

        Raises:
            RequestError: The values are over a limit, or the graph refused them.
        """
        pixels = check_values(inputs, self._settings)
        rows, size = _instances(signature, inputs), self._settings.batch_size
        current_record().instances = rows or 1
        if rows is None or size == 1:
            return call(signature, inputs)
        if rows <= size:
            return self._in_turn(signature, inputs, rows, pixels)
        parts = []
        for first in range(0, rows, size):
            part = {name: array[first : first + size] for name, array in inputs.items()}
            count = min(size, rows - first)
            # A part may have few of the pixels; at most all of them are counted for it.
            outputs = self._in_turn(signature, part, count, pixels, first)
            if not _are_row_by_row(outputs, count):
                return call(signature, inputs)
            parts.append(outputs)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _in_turn(
        self, signature: Any, inputs: dict[str, Array], rows: int, pixels: int, first: int = 0
    ) -> Outputs:
        """Calls a signature with what waits for it too; `first` is the first instance's number."""
        shapes = tuple((name, array.shape[1:]) for name, array in sorted(inputs.items()))
        key, request = (signature, shapes), _Request(inputs, rows, pixels)
        with self._lock:
            request.leads = key not in self._queues
            self._queues.setdefault(key, deque()).append(request)
        if not request.leads:
            request.woken.wait()
        if request.leads:
            self._lead(key, signature, request, first)
        if request.outputs is None:
            if request.record.abandoned:
                raise RequestError("nobody waits for the answer", status=499)  # as nginx has it
            # A joint call failed: for one bad image, the others are answered, and its own sender
            # is told what is wrong.
            request.outputs = call(signature, inputs, first)
        note_wait((request.called_at - request.queued_at) / 1e9)
        note_call_times(request.queued_at, request.called_at)
        return request.outputs

    def _lead(self, key: Hashable, signature: Any, request: _Request, first: int) -> None:
        """Answers the requests that fit in one call, then gives the lead to the next."""
        self._wait(key)
        batch = self._take(key)
        # Those whose clients have gone are woken, and not called.
        called = [each for each in batch if not each.record.abandoned]
        try:
            if called == [request]:
                request.outputs = call(signature, request.inputs, first)
            elif called:
                _answer_jointly(signature, called)
        finally:
            for other in batch:
                other.woken.set()
            with self._lock:
                queue = self._queues[key]
                if queue:
                    queue[0].leads = True
                    queue[0].woken.set()
                else:
                    del self._queues[key]

    def _take(self, key: Hashable) -> list[_Request]:
        """The first requests of a queue that fit in one call, at least one."""
        settings = self._settings
        batch: list[_Request] = []
        rows = pixels = 0
        with self._lock:
            queue = self._queues[key]
            while queue:
                rows, pixels = rows + queue[0].rows, pixels + queue[0].pixels
                if batch and (rows > settings.batch_size or pixels > settings.max_pixels):
                    break
                batch.append(queue.popleft())
        now = time.time_ns()
        for each in batch:
            each.called_at = now
        return batch

    def _wait(self, key: Hashable) -> None:
        """Lets others join for `batch_wait_ms`, as long as there are any that might."""
        end = time.monotonic() + self._settings.batch_wait_ms / 1000
        while time.monotonic() < end and self._may_grow(key):
            time.sleep(_PAUSE)

    def _may_grow(self, key: Hashable) -> bool:
        with self._lock:
            queue = self._queues[key]
            rows = sum(each.rows for each in queue)
            return len(queue) < self._expected and rows < self._settings.batch_size


def _instances(signature: Any, inputs: Mapping[str, Array]) -> int | None:
    """How many instances a request has; None where it cannot share a call."""
    tensors = [*input_specs(signature).values(), *signature.structured_outputs.values()]
    if not all(spec.shape.rank and spec.shape[0] is None for spec in tensors):
        return None
    sizes = {len(array) for array in inputs.values()}
    return sizes.pop() if len(sizes) == 1 else None


def _answer_jointly(signature: Any, batch: Sequence[_Request]) -> None:
    """Gives each request its part of one call's outputs; nothing if the call fails."""
    names = batch[0].inputs
    joined = {name: np.concatenate([each.inputs[name] for each in batch]) for name in names}
    with contextlib.suppress(*graph_errors()):
        outputs = outputs_of(signature, joined)
        rows = sum(each.rows for each in batch)
        if not _are_row_by_row(outputs, rows):
            return
        start = 0
        for each in batch:
            end = start + each.rows
            each.outputs = {name: array[start:end] for name, array in outputs.items()}
            start = end


def _are_row_by_row(outputs: Outputs, rows: int) -> bool:
    return all(array.shape[:1] == (rows,) for array in outputs.values())
