"""A predict request answered by a loaded model, without any preprocessing outside the graph."""

import json
from typing import Any

import numpy as np

from components.serve.errors import RequestError, graph_errors, reason
from components.serve.json_request import Array, inputs_of, json_of, parse_request
from components.serve.loaded_model import LoadedModel, input_specs
from components.serve.request_checks import check_values
from components.serve.settings import ServeSettings


def predict_json(model: LoadedModel, body: bytes, settings: ServeSettings) -> bytes:
    """Answers TF Serving's JSON predict request.

    Args:
        model: The model.
        body: The request's body.
        settings: The server's limits.

    Returns:
        The answer's body: `predictions` for a request of `instances`, `outputs` for `inputs`.

    Raises:
        RequestError: The request is wrong; the message names the instance.
    """
    request = parse_request(body)
    signature = model.signature(request.signature_name)
    try:
        inputs = inputs_of(request, input_specs(signature))
    except RecursionError:
        raise RequestError("the values are lists in lists, far too deep") from None
    check_values(inputs, settings)
    outputs = call(signature, inputs)
    columns = {name: json_of(name, array) for name, array in outputs.items()}
    values = _rows(columns, outputs) if request.by_row else _bare_if_single(columns)
    answer = {"predictions" if request.by_row else "outputs": values}
    return json.dumps(answer, ensure_ascii=False).encode()


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
        return _outputs(signature, inputs)
    except graph_errors() as error:
        raise RequestError(_named_instance(signature, inputs, error)) from None


def _outputs(signature: Any, inputs: dict[str, Array]) -> dict[str, Array]:
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
                _outputs(signature, instance)
            except graph_errors() as alone:
                return f"instance {index}: {reason(alone)}"
    return reason(error)


def _rows(columns: dict[str, Any], outputs: dict[str, Array]) -> list[Any]:
    sizes = {len(array) if array.ndim else None for array in outputs.values()}
    if len(sizes) > 1 or None in sizes:
        raise RequestError(
            "this signature does not give one row an instance; send 'inputs', by column"
        )
    return [
        _bare_if_single(dict(zip(columns, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]


def _bare_if_single(values: dict[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values
