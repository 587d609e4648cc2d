"""What takes the stand-in for Vertex a while: operations that end after they were asked for."""

import dataclasses
import itertools
import re
from collections.abc import Callable
from typing import Any

import grpc
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import code_pb2

from darkroom.tests.google_server import Method, RefusedError, require, under

PROJECT = "my-project"
LOCATION = "europe-west4"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
NUMBERED = f"projects/123456/locations/{LOCATION}"
"""How Vertex gives names back: with the project's number."""

_POLLS = 2
"""How often an operation is asked for before it ends."""


def check_parent(name: str) -> None:
    """Refuses what is in another project or region."""
    if not name.startswith((f"projects/{PROJECT}/", "projects/123456/")):
        raise RefusedError(
            grpc.StatusCode.PERMISSION_DENIED,
            f"Permission denied on resource project {name.split('/')[1]}.",
            "CONSUMER_INVALID",
        )
    require(name.split("/")[3] == LOCATION, "parent")


def canonical(name: str) -> str:
    """A resource name with the project's number."""
    return name.replace(PARENT, NUMBERED, 1)


def display_name_of(filter_text: str) -> str:
    """The display name that a list is asked for by."""
    match = re.fullmatch(r'display_name="([^"]+)"', filter_text)
    require(match, "filter")
    assert match is not None
    return match[1]


def missing(kind: str, name: str) -> RefusedError:
    return RefusedError(grpc.StatusCode.NOT_FOUND, f"The {kind} {name} does not exist.")


@dataclasses.dataclass
class _Work:
    operation: Any
    finish: Callable[[], Any]
    left: int = _POLLS


class VertexOperations:
    """Long-running operations, which end once they were asked for a few times.

    Attributes:
        failures: A code and a message by the method whose next operation fails with them.
        endless: Whether operations never end.
    """

    def __init__(self) -> None:
        self.failures: dict[str, tuple[str, str]] = {}
        self.endless = False
        self._works: dict[str, _Work] = {}
        self._numbers = itertools.count(1)

    def methods(self) -> dict[str, Method]:
        """What is called by which path."""
        return under(
            "google.longrunning.Operations",
            GetOperation=(operations_pb2.GetOperationRequest, self._get),
            ListOperations=(operations_pb2.ListOperationsRequest, self._list),
        )

    def begin(self, method: str, resource: str, finish: Callable[[], Any]) -> Any:
        """A new operation on a resource; `finish` does it, and gives its answer."""
        name = f"{canonical(resource)}/operations/{next(self._numbers)}"
        operation = operations_pb2.Operation(name=name)
        failure = self.failures.pop(method, None)
        if failure is not None:
            code, message = failure

            def finish() -> Any:
                raise RefusedError(grpc.StatusCode[code], message)

        self._works[name] = _Work(operation, finish)
        return operation

    def running(self, resource: str) -> list[str]:
        """Names of the operations on a resource that have not ended."""
        found = self._works.items()
        prefix = f"{canonical(resource)}/operations/"
        return [n for n, work in found if n.startswith(prefix) and not work.operation.done]

    def _get(self, request: Any) -> Any:
        check_parent(request.name)
        work = self._works.get(request.name)
        if work is None:
            raise missing("Operation", request.name)
        work.left -= 1
        if work.left <= 0 and not work.operation.done and not self.endless:
            self._end(work)
        return work.operation

    def _end(self, work: _Work) -> None:
        work.operation.done = True
        try:
            answer = work.finish()
        except RefusedError as refused:
            work.operation.error.code = code_pb2.Code.Value(refused.code.name)
            work.operation.error.message = refused.message
        else:
            plus = getattr(type(answer), "pb", None)
            work.operation.response.Pack(plus(answer) if plus else answer or empty_pb2.Empty())

    def _list(self, request: Any) -> Any:
        check_parent(request.name)
        prefix = f"{canonical(request.name)}/operations/"
        found = [work.operation for name, work in self._works.items() if name.startswith(prefix)]
        # A small page, whatever size was asked for, as a server may.
        start = int(request.page_token or 0)
        end = start + 2
        return operations_pb2.ListOperationsResponse(
            operations=found[start:end], next_page_token=str(end) if end < len(found) else ""
        )
