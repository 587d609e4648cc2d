"""TF Serving's JSON predict request: from its body to a signature's inputs.

Format: https://www.tensorflow.org/tfx/serving/api_rest#predict_api
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from components.serve.errors import RequestError
from components.serve.json_values import is_base64, shown, tensor_of
from darkroom.artifacts.model import SERVING_DEFAULT
from darkroom.settings import nearest


@dataclasses.dataclass(frozen=True)
class JsonRequest:
    """A parsed predict request.

    Attributes:
        signature_name: The signature to call.
        by_row: Whether `values` came as `instances`, one value (or object of them) an instance;
            otherwise as `inputs`, one list of values an input.
        values: The values, not yet checked against a signature.
    """

    signature_name: str
    by_row: bool
    values: Any


def parse_request(body: bytes) -> JsonRequest:
    """Parses the body of a predict request.

    Raises:
        RequestError: It is not JSON, or not a predict request.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict) or ("instances" in document) == ("inputs" in document):
        raise RequestError("the body must be a JSON object with either 'instances' or 'inputs'")
    # TF Serving takes an empty name for the default too.
    name = document.get("signature_name") or SERVING_DEFAULT
    if not isinstance(name, str):
        raise RequestError(f"'signature_name' must be text, got {shown(name)}")
    by_row = "instances" in document
    return JsonRequest(name, by_row, document["instances" if by_row else "inputs"])


def inputs_of(request: JsonRequest, specs: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that a request gives to a signature, by input name.

    Args:
        request: The request.
        specs: The `tf.TensorSpec` of each of the signature's inputs.

    Raises:
        RequestError: An input is missing or unknown, or a value not of its type or shape.
    """
    if request.by_row:
        columns = _columns_of_rows(request.values, specs)
    else:
        columns = _by_name(request.values, specs, "'inputs'")
    inputs = {name: tensor_of(name, columns[name], spec) for name, spec in specs.items()}
    # An input of a fixed length does not hold one value an instance.
    sizes = {
        name: len(inputs[name])
        for name, spec in specs.items()
        if spec.shape.rank and spec.shape[0] is None
    }
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise RequestError(f"the inputs hold different numbers of values: {counts}")
    return inputs


def _columns_of_rows(instances: Any, specs: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise RequestError("'instances' must be a list of at least one instance")
    rows = [_by_name(row, specs, f"instance {index}") for index, row in enumerate(instances)]
    return {name: [row[name] for row in rows] for name in specs}


def _by_name(value: Any, specs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of `value` by input name, a single input may be given without its name."""
    if not isinstance(value, dict) or is_base64(value):
        if len(specs) != 1:
            raise RequestError(f"{where} must be an object with the inputs {', '.join(specs)}")
        return {next(iter(specs)): value}
    for name in value:
        if name not in specs:
            raise RequestError(f"{where}: unknown input '{name}'{nearest(name, specs)}")
    for name in specs:
        if name not in value:
            raise RequestError(f"{where}: input '{name}' is missing")
    return value
