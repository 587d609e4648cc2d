"""TensorFlow's TensorProto messages as arrays, and arrays as messages."""

import math
from typing import Any

import numpy as np

from components.serve.calls.signature_call import Array
from components.serve.errors import RequestError

_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "int64": "int64_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "object": "string_val",
}
"""Where a message has its values, by dtype."""


def array_of(name: str, tensor: Any, spec: Any, max_bytes: int) -> Array:
    """The array that a message holds for an input; strings are objects of bytes.

    Args:
        name: The input's name.
        tensor: The TensorProto.
        spec: The input's `tf.TensorSpec`.
        max_bytes: Bytes of the array, at most: a message of a few bytes may stand for gigabytes,
            since its last value is repeated.

    Raises:
        RequestError: It is not of the input's type or shape, or its values are not those of its
            own.
    """
    import tensorflow as tf

    if tensor.dtype != spec.dtype.as_datatype_enum:
        given = _dtype_name(tensor.dtype)
        raise RequestError(f"input '{name}' takes {spec.dtype.name} values, got {given}")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise RequestError(f"input '{name}' must have a shape of known sizes")
    if not spec.shape.is_compatible_with(shape):
        raise RequestError(f"input '{name}' takes shape {spec.shape}, got {shape}")
    size = math.prod(shape)
    if not size:
        raise RequestError(f"input '{name}' must hold at least one value")
    if size * np.dtype(spec.dtype.as_numpy_dtype).itemsize > max_bytes:
        raise RequestError(f"input '{name}' is over {max_bytes:,} bytes", status=413)
    try:
        if spec.dtype == tf.string:
            return _strings(tensor, size).reshape(shape)
        array: Array = tf.make_ndarray(tensor)
    except (ValueError, TypeError, OverflowError):
        raise RequestError(
            f"input '{name}' does not hold the values of shape {shape} and {spec.dtype.name}"
        ) from None
    return array


def fill(tensor: Any, array: Array) -> None:
    """Writes an output to a message, as TF Serving does: in the field of its dtype.

    Args:
        tensor: The TensorProto, empty.
        array: The output.
    """
    import tensorflow as tf

    field = _FIELDS.get(array.dtype.name)
    if field is None:
        tensor.CopyFrom(tf.make_tensor_proto(array))
        return
    tensor.dtype = tf.as_dtype(array.dtype).as_datatype_enum
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    getattr(tensor, field).extend(array.ravel().tolist())


def _strings(tensor: Any, size: int) -> Array:
    """The strings of a message, each its own: repeated ones could take any memory."""
    if tensor.tensor_content or len(tensor.string_val) != size:
        raise ValueError("other values than its shape says")
    return np.array([*tensor.string_val, None], dtype=object)[:-1]


def _dtype_name(number: int) -> str:
    import tensorflow as tf

    try:
        return str(tf.as_dtype(number).name)
    except TypeError:
        return f"the unknown type {number}"
