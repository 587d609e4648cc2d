"""One call of a signature, and what its graph refused."""

from typing import Any

import numpy as np

from components.serve.errors import RequestError, graph_errors, reason
from components.serve.json_request import Array


def call(signature: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    """Calls a signature.

    Args:
        signature: A SavedModel's signature.
        inputs: An array for each of its inputs.

    Returns:
        An array for each of its outputs, strings as objects.

    Raises:
        RequestError: The graph refused the inputs, as it does for an image that it cannot decode.
    """
    try:
        return outputs_of(signature, inputs)
    except graph_errors() as error:
        raise RequestError(_named_instance(signature, inputs, error)) from None


def outputs_of(signature: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    """Calls a signature, as `call` does, and lets its graph's errors through."""
    import tensorflow as tf

    tensors = {name: tf.constant(array) for name, array in inputs.items()}
    outputs = {name: output.numpy() for name, output in sorted(signature(**tensors).items())}
    # A scalar string comes as bytes, not as an array.
    return {
        name: np.asarray(output, dtype=object) if isinstance(output, bytes) else output
        for name, output in outputs.items()
    }


def _named_instance(signature: Any, inputs: dict[str, Array], error: Exception) -> str:
    """The graph's reason, with the first instance that it refuses alone."""
    if all(array.ndim for array in inputs.values()):
        for index in range(min(len(array) for array in inputs.values())):
            instance = {name: array[index : index + 1] for name, array in inputs.items()}
            try:
                outputs_of(signature, instance)
            except graph_errors() as alone:
                return f"instance {index}: {reason(alone)}"
    return reason(error)
