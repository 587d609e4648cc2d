"""A predict request answered by a loaded model, without any preprocessing outside the graph."""

import json
from typing import Any

from components.serve.calls.batching import Calls
from components.serve.calls.signature_call import Array, input_specs
from components.serve.errors import RequestError
from components.serve.protocols.json_request import inputs_of, json_of, parse_request
from components.serve.versions.loaded_model import LoadedModel

PREDICT_ONLY = "the model's signatures are for predict, not for classify or regress"


def predict_json(model: LoadedModel, body: bytes, batches: Calls, max_instances: int) -> bytes:
    """Answers TF Serving's JSON predict request.

    Args:
        model: The model.
        body: The request's body.
        batches: What calls signatures.
        max_instances: How many instances a request may have.

    Returns:
        The answer's body: `predictions` for a request of `instances`, `outputs` for `inputs`.

    Raises:
        RequestError: The request is wrong; the message names the instance.
    """
    request = parse_request(body)
    signature = model.signature(request.signature_name)
    inputs = inputs_of(request, input_specs(signature), max_instances)
    outputs = batches.call(signature, inputs)
    columns = {name: json_of(name, array) for name, array in outputs.items()}
    values = _rows(columns, outputs) if request.by_row else _bare_if_single(columns)
    answer = {"predictions" if request.by_row else "outputs": values}
    return json.dumps(answer, ensure_ascii=False).encode()


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
