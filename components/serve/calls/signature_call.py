"""One call of a signature, and what its graph refused."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.serve.errors import RequestError, graph_errors, is_servers_fault, reason
from components.serve.telemetry.metrics import note_call

Array = npt.NDArray[Any]
"""Values of an input or output; strings are objects of bytes."""


def input_specs(signature: Any) -> dict[str, Any]:
    """The `tf.TensorSpec` of each input of a signature, by name."""
    return dict(signature.structured_input_signature[1])


def call(signature: Any, inputs: dict[str, Array], first: int = 0) -> dict[str, Array]:
    """Calls a signature.

    Args:
        signature: A SavedModel's signature.
        inputs: An array for each of its inputs.
        first: The first instance's number in its request, for messages.

    Returns:
        An array for each of its outputs, strings as objects.

    Raises:
        RequestError: The graph refused the inputs, as it does for an image that it cannot decode.
    """
    try:
        return outputs_of(signature, inputs)
    except graph_errors() as error:
        if is_servers_fault(error):
            raise RequestError(f"the model cannot answer now: {reason(error)}", 503) from None
        raise RequestError(_named_instance(signature, inputs, error, first)) from None


def outputs_of(signature: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    """Calls a signature, as `call` does, and lets its graph's errors through."""
    import tensorflow as tf

    note_call(max((len(array) for array in inputs.values() if array.ndim), default=1))
    tensors = {name: tf.constant(array) for name, array in inputs.items()}
    outputs = {name: output.numpy() for name, output in sorted(signature(**tensors).items())}
    # A scalar string comes as bytes, not as an array.
    return {
        name: np.asarray(output, dtype=object) if isinstance(output, bytes) else output
        for name, output in outputs.items()
    }


def _named_instance(signature: Any, inputs: dict[str, Array], error: Exception, offset: int) -> str:
    """The graph's reason, with the first instance that it refuses alone."""
    if not all(array.ndim for array in inputs.values()):
        return reason(error)
    # Halved, since one call for each instance could take a hundred times as long as all at once.
    first, end = 0, min(len(array) for array in inputs.values())
    found: Exception | None = None
    while end - first > 1:
        middle = (first + end) // 2
        found = _failure(signature, inputs, first, middle)
        first, end = (middle, end) if found is None else (first, middle)
    found = _failure(signature, inputs, first, end)
    return reason(error) if found is None else f"instance {offset + first}: {reason(found)}"


def _failure(signature: Any, inputs: dict[str, Array], first: int, end: int) -> Exception | None:
    """What the graph refuses of some instances; None where it takes them."""
    try:
        outputs_of(signature, {name: array[first:end] for name, array in inputs.items()})
    except graph_errors() as error:
        return error
    return None
