"""TF Serving's JSON predict request: from its body to a signature's inputs.

Formats: https://www.tensorflow.org/tfx/serving/api_rest#predict_api and #json_mapping there.
"""

import base64
import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.serve.calls.request_checks import check_instances
from components.serve.calls.signature_call import Array
from components.serve.calls.signature_inputs import check_counts, check_names
from components.serve.errors import RequestError
from components.serve.protocols.json_size import check_json_size
from darkroom.artifacts.model import SERVING_DEFAULT


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
        RequestError: It is not JSON, not a predict request, or too large.
    """
    check_json_size(body)
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


def inputs_of(request: JsonRequest, specs: Mapping[str, Any], max_instances: int) -> dict[str, Any]:
    """The arrays that a request gives to a signature, by input name.

    Args:
        request: The request.
        specs: The `tf.TensorSpec` of each of the signature's inputs.
        max_instances: How many values an input may have.

    Raises:
        RequestError: An input is missing or unknown, a value not of its type or shape, or there
            are too many.
    """
    if request.by_row:
        columns = _columns_of_rows(request.values, specs, max_instances)
    else:
        columns = _by_name(request.values, specs, "'inputs'")
        for values in columns.values():
            check_instances(len(values) if isinstance(values, list) else 1, max_instances)
    try:
        inputs = {name: tensor_of(name, columns[name], spec) for name, spec in specs.items()}
    except RecursionError:
        raise RequestError("the values are lists in lists, far too deep") from None
    check_counts(inputs, specs)
    return inputs


def _columns_of_rows(
    instances: Any, specs: Mapping[str, Any], max_instances: int
) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise RequestError("'instances' must be a list of at least one instance")
    check_instances(len(instances), max_instances)
    rows = [_by_name(row, specs, f"instance {index}") for index, row in enumerate(instances)]
    return {name: [row[name] for row in rows] for name in specs}


def _by_name(value: Any, specs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of `value` by input name, a single input may be given without its name."""
    if not isinstance(value, dict) or is_base64(value):
        if len(specs) != 1:
            raise RequestError(f"{where} must be an object with the inputs {', '.join(specs)}")
        return {next(iter(specs)): value}
    check_names(value, specs, f"{where}: ")
    return value


_BYTES_SUFFIX = "_bytes"
"""Inputs and outputs whose names end so hold bytes, not text."""

_ACCEPTED_KINDS = {"i": "iu", "u": "iu", "b": "b"}
"""By kind of tensor (numpy's letters) the kinds of JSON numbers it takes; others take any."""

_SHOWN_LENGTH = 40


def tensor_of(name: str, values: Any, spec: Any) -> Array:
    """The array that JSON gives for an input; strings are objects of bytes.

    Args:
        name: The input's name.
        values: A list with one value an instance, or the single value of a scalar input.
        spec: The input's `tf.TensorSpec`.

    Raises:
        RequestError: A value is not of the input's type, or the values not of its shape.
    """
    if spec.shape.rank == 0:
        array = _array(name, values, spec.dtype, f"input '{name}'")
    elif not isinstance(values, list) or not values:
        raise RequestError(f"input '{name}' must be a list of at least one value")
    else:
        array = _stacked(name, values, spec)
    if not _fits(spec.shape, array.shape):
        raise RequestError(f"input '{name}' takes shape {spec.shape}, got {array.shape}")
    return array


def _fits(wanted: Any, shape: tuple[int, ...], first: int = 0) -> bool:
    """Whether a shape is one of `wanted[first:]`; TensorShape itself takes ten times as long."""
    sizes = _sizes(wanted)
    if sizes is None:
        return True
    pairs = zip(sizes[first:], shape, strict=False)
    return len(sizes) - first == len(shape) and all(size in (None, given) for size, given in pairs)


@functools.lru_cache
def _sizes(shape: Any) -> list[int | None] | None:
    return None if shape.rank is None else shape.as_list()


def json_of(name: str, array: Array) -> Any:
    """The JSON value of an output.

    A float32 number is written as the double that equals it, so that nothing is lost.

    Args:
        name: The output's name; strings named `..._bytes`, and those that are not UTF-8, are
            given as base64.
        array: The output.
    """
    values = array.tolist()
    return _json_text(values, name.endswith(_BYTES_SUFFIX)) if array.dtype == object else values


def is_base64(value: Any) -> bool:
    """Whether a JSON value is TF Serving's way to write bytes, `{"b64": "..."}`."""
    return isinstance(value, dict) and set(value) == {"b64"}


def shown(value: Any) -> str:
    """A JSON value in a message, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."


def _stacked(name: str, values: list[Any], spec: Any) -> Array:
    arrays: list[Array] = []
    for index, value in enumerate(values):
        array = _array(name, value, spec.dtype, f"instance {index}")
        if not _fits(spec.shape, array.shape, first=1):
            shape = spec.shape[1:]
            raise RequestError(f"instance {index}: {name} takes shape {shape}, got {array.shape}")
        if arrays and array.shape != arrays[0].shape:
            first = arrays[0].shape
            raise RequestError(
                f"instance {index}: {name} has shape {array.shape}, the first {first}"
            )
        arrays.append(array)
    return np.stack(arrays)


def _array(name: str, value: Any, dtype: Any, where: str) -> Array:
    if dtype.as_numpy_dtype is not object:
        return _numbers(name, value, dtype, where)
    array = np.array(_bytes(name, value, where), dtype=object)
    if not all(isinstance(item, bytes) for item in array.flat):
        raise RequestError(f"{where}: the lists of {name} differ in length")
    return array


def _numbers(name: str, value: Any, dtype: Any, where: str) -> Array:
    try:
        array = np.asarray(value)
    except ValueError:
        raise RequestError(f"{where}: the lists of {name} differ in length") from None
    wanted = np.dtype(dtype.as_numpy_dtype)
    if array.dtype.kind not in _ACCEPTED_KINDS.get(wanted.kind, "fiu"):
        raise RequestError(f"{where}: {name} takes {dtype.name} values, got {shown(value)}")
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = array.astype(wanted)
    lost = numbers != array if wanted.kind in "iu" else np.isinf(numbers) & np.isfinite(array)
    if lost.any():
        raise RequestError(f"{where}: {name} is out of the range of {dtype.name}")
    return numbers


def _bytes(name: str, value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_bytes(name, item, where) for item in value]
    if is_base64(value) and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError:
            raise RequestError(f"{where}: the b64 of {name} is not valid base64") from None
    if isinstance(value, str) and not name.endswith(_BYTES_SUFFIX):
        return value.encode("utf-8", "surrogatepass")
    wanted = "" if name.endswith(_BYTES_SUFFIX) else "text or "
    raise RequestError(f'{where}: {name} takes {wanted}{{"b64": "..."}}, got {shown(value)}')


def _json_text(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_json_text(item, as_bytes) for item in value]
    try:
        text = None if as_bytes else value.decode()
    except UnicodeDecodeError:
        text = None
    return {"b64": base64.b64encode(value).decode()} if text is None else text
