"""JSON to tensors and back loses nothing."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.serve.errors import RequestError
from components.serve.protocols.json_request import json_of, tensor_of

pytestmark = pytest.mark.slow


def spec_of(shape, dtype):
    import tensorflow as tf

    return tf.TensorSpec(shape, dtype)


@given(st.lists(st.floats(width=32), min_size=1))
def test_float32_survives_json(numbers):
    array = np.array(numbers, dtype=np.float32)
    text = json.dumps(json_of("probability", array))
    back = tensor_of("probability", json.loads(text), spec_of([None], "float32"))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.binary(), min_size=1))
def test_bytes_survive_json(values):
    array = np.array(values, dtype=object)
    for name in ("image_bytes", "key"):
        text = json.dumps(json_of(name, array))
        spec = spec_of([None], "string")
        assert tensor_of(name, json.loads(text), spec).tolist() == values


def test_nan_and_infinity_are_numbers_as_in_tf_serving():
    values = json.loads("[NaN, Infinity, -Infinity]")
    array = tensor_of("x", values, spec_of([None], "float32"))
    assert math.isnan(array[0])
    assert array[1:].tolist() == [math.inf, -math.inf]
    assert json.dumps(json_of("x", array)) == "[NaN, Infinity, -Infinity]"


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1e39, "float32"),
        (256, "uint8"),
        (-1, "uint8"),
        (2**70, "int64"),
        (True, "int32"),
        (1, "bool"),
        ("1", "float32"),
        (None, "float32"),
        ({"b64": "AAAA"}, "float32"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(value, dtype):
    with pytest.raises(RequestError, match="instance 1: x "):
        tensor_of("x", [value == "no" or _fitting(dtype), value], spec_of([None], dtype))


def _fitting(dtype):
    return True if dtype == "bool" else 0


def test_a_scalar_input_is_not_a_list():
    spec = spec_of([], "int64")
    assert tensor_of("limit", 3, spec).tolist() == 3
    with pytest.raises(RequestError, match=r"input 'limit' takes shape \(\), got \(1,\)"):
        tensor_of("limit", [3], spec)


def test_instances_of_one_shape():
    with pytest.raises(RequestError, match=r"instance 2: x has shape \(1,\), the first \(2,\)"):
        tensor_of("x", [[1, 2], [3, 4], [5]], spec_of([None, None], "float32"))
