"""Errors of requests and of TensorFlow graphs, each in one line."""

import re
from typing import Any

_POSITION = re.compile(r"$|Graph execution error|Detected at node|<stack traces|\d+ root error")
"""Lines that say where an error came up, not what is wrong."""

_NODES = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]|^ *\(\d+\) [A-Z_]+:", re.MULTILINE)
"""The names of graph nodes within a line."""

_LENGTH, _LONGEST = 200, 1000
"""Characters of a graph's reason, and of a whole message."""


class RequestError(Exception):
    """What is wrong with a request, in one line for its sender.

    Attributes:
        status: The HTTP status to answer with.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        # It may quote a name of any length.
        super().__init__(message if len(message) <= _LONGEST else f"{message[:_LONGEST]}...")
        self.status = status


def graph_errors() -> tuple[type[Exception], ...]:
    """The errors that a call of a graph raises.

    TensorFlow itself raises UnicodeDecodeError for a message that quotes raw bytes.
    """
    import tensorflow as tf

    return tf.errors.OpError, UnicodeDecodeError


def is_servers_fault(error: Exception) -> bool:
    """Whether a graph failed for want of memory, a store or time, not for what it was given."""
    from tensorflow import errors

    return isinstance(
        error,
        errors.ResourceExhaustedError
        | errors.InternalError
        | errors.UnavailableError
        | errors.DeadlineExceededError
        | errors.AbortedError
        | errors.CancelledError,
    )


def reason(error: Any) -> str:
    """The line of an error that says what is wrong.

    Args:
        error: One of `graph_errors`, or any other exception.
    """
    if isinstance(error, UnicodeDecodeError):
        message = error.object.decode(errors="replace")
    else:
        message = getattr(error, "message", None) or str(error)
    lines = [line.strip() for line in _NODES.sub("", message).splitlines()]
    line = next((line for line in lines if not _POSITION.match(line)), type(error).__name__)
    return line if len(line) <= _LENGTH else f"{line[:_LENGTH]}..."
