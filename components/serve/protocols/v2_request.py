"""A V2 request over REST: JSON, whose tensors may follow it as bytes, to KServe's own request.

KServe's parser takes bytes that are no text for an error, and lists in lists to Python's limit.
Format: https://kserve.github.io/website/docs/reference/inference (V2, binary tensor extension)
"""

import itertools
import math
import struct
from collections.abc import Iterator
from typing import Annotated, Any

import kserve
import numpy as np
import pydantic
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import to_np_dtype

from components.serve.calls.signature_call import Array
from components.serve.errors import RequestError
from components.serve.protocols.json_size import check_json_size

JSON_LENGTH = "inference-header-content-length"
"""The header that states the length of the JSON part; without it all is JSON."""
_DEEPEST = 16
_BINARY_SIZE = "binary_data_size"

_Size = Annotated[int, pydantic.Field(ge=0, le=2**31)]


class OutputTensor(pydantic.BaseModel):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] | None = None


class InputTensor(OutputTensor):
    """An input; without `data` its values are bytes that follow the JSON."""

    shape: list[_Size]
    datatype: str
    data: list[Any] | None = None


class V2Request(pydantic.BaseModel):
    """The JSON of a V2 request."""

    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[InputTensor]
    outputs: list[OutputTensor] | None = None


def parse_v2(body: bytes, json_length: str | None, name: str) -> kserve.InferRequest:
    """Parses the body of a V2 request over REST.

    Args:
        body: The request's body.
        json_length: Length of the JSON part, as the header states it.
        name: The model's name.

    Raises:
        RequestError: It is no V2 request.
    """
    if json_length is not None and not (
        json_length.isdecimal() and len(json_length) < 12 and int(json_length) <= len(body)
    ):
        raise RequestError(f"{JSON_LENGTH} is no length within the body: {json_length[:20]}")
    end = len(body) if json_length is None else int(json_length)
    check_json_size(body[:end])
    try:
        request = V2Request.model_validate_json(body[:end])
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise RequestError(f"no V2 request: {place}: {first['msg']}"[:200]) from None
    tensors = []
    for tensor in request.inputs:
        size = (tensor.parameters or {}).get(_BINARY_SIZE)
        if tensor.data is None:
            raw = _raw(tensor, body, end, size)
            end += len(raw)
            tensors.append(_infer_input(tensor, _from_bytes(tensor, raw)))
        else:
            tensors.append(_infer_input(tensor, _from_list(tensor)))
    outputs = [RequestedOutput(o.name, o.parameters) for o in request.outputs or ()]
    return kserve.InferRequest(
        model_name=name,
        infer_inputs=tensors,
        request_id=request.id,
        parameters=request.parameters,
        request_outputs=outputs or None,
    )


def _infer_input(tensor: InputTensor, array: Array) -> kserve.InferInput:
    parsed = kserve.InferInput(tensor.name, tensor.shape, tensor.datatype)
    parsed.set_data_from_numpy(array, binary_data=True)
    return parsed


def _raw(tensor: InputTensor, body: bytes, start: int, size: Any) -> bytes:
    if not isinstance(size, int) or not 0 <= size <= len(body) - start:
        raise RequestError(f"input '{tensor.name}' has neither data nor {_BINARY_SIZE} in the body")
    return body[start : start + size]


def _dtype(tensor: InputTensor) -> Any:
    dtype = to_np_dtype(tensor.datatype)
    if dtype is None:
        raise RequestError(f"input '{tensor.name}': unknown datatype '{tensor.datatype[:20]}'")
    return np.dtype(dtype)


def _from_bytes(tensor: InputTensor, raw: bytes) -> Array:
    dtype = _dtype(tensor)
    try:
        if dtype.kind == "O":
            return strings_of(raw, tensor.shape)
        values: Array = np.frombuffer(raw, dtype)
        return values.reshape(tensor.shape)
    except (ValueError, struct.error):
        raise RequestError(
            f"input '{tensor.name}': the bytes are not of shape {tensor.shape} and "
            f"{tensor.datatype}"
        ) from None


def strings_of(raw: bytes, shape: list[int]) -> Array:
    """The values of a BYTES tensor, each of which follows its length, as objects.

    Args:
        raw: The bytes.
        shape: The tensor's shape.

    Raises:
        ValueError: They are not of that shape.
        struct.error: They are cut short.
    """
    most = math.prod(shape)
    # One more than there may be, so that millions of empty ones do not take a minute.
    values = list(itertools.islice(_length_prefixed(raw), max(0, most) + 1))
    return np.array([*values, None], dtype=object)[:-1].reshape(shape)


def _length_prefixed(raw: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(raw):
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4 + length
        if position > len(raw):
            raise ValueError("cut short")
        yield raw[position - length : position]


def _from_list(tensor: InputTensor) -> Array:
    dtype = _dtype(tensor)
    values = list(_flat(tensor.data, tensor.name))
    if len(values) != math.prod(tensor.shape):
        raise RequestError(
            f"input '{tensor.name}' holds {len(values)} values, not those of shape {tensor.shape}"
        )
    if dtype.kind == "O":
        if not all(isinstance(value, str) for value in values):
            raise RequestError(f"input '{tensor.name}': BYTES in JSON are text")
        values = [value.encode("utf-8", "surrogatepass") for value in values]
    try:
        if dtype.kind == "O":
            return np.array([*values, None], dtype=object)[:-1].reshape(tensor.shape)
        array: Array = np.array(values, dtype).reshape(tensor.shape)
    except (ValueError, TypeError, OverflowError):
        raise RequestError(f"input '{tensor.name}': a value is not of {tensor.datatype}") from None
    return array


def _flat(values: Any, name: str, depth: int = 0) -> Iterator[Any]:
    if depth > _DEEPEST:
        raise RequestError(f"input '{name}' holds lists in lists, more than {_DEEPEST} deep")
    for value in values:
        if isinstance(value, list):
            yield from _flat(value, name, depth + 1)
        else:
            yield value
