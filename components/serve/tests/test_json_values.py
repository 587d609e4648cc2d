"""JSON to tensors and back loses nothing."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.serve.json_values import json_of, tensor_of
from components.serve.request_error import RequestError

pytestmark = pytest.mark.slow

FLOATS = tf.TensorSpec([None], tf.float32)


@given(st.lists(st.floats(width=32), min_size=1))
def test_float32_survives_json(numbers):
    array = np.array(numbers, dtype=np.float32)
    text = json.dumps(json_of("probability", array))
    back = tensor_of("probability", json.loads(text), FLOATS)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.binary(), min_size=1))
def test_bytes_survive_json(values):
    array = np.array(values, dtype=object)
    for name in ("image_bytes", "key"):
        text = json.dumps(json_of(name, array))
        spec = tf.TensorSpec([None], tf.string)
        assert tensor_of(name, json.loads(text), spec).tolist() == values


def test_nan_and_infinity_are_numbers_as_in_tf_serving():
    values = json.loads("[NaN, Infinity, -Infinity]")
    array = tensor_of("x", values, FLOATS)
    assert math.isnan(array[0])
    assert array[1:].tolist() == [math.inf, -math.inf]
    assert json.dumps(json_of("x", array)) == "[NaN, Infinity, -Infinity]"


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1e39, tf.float32),
        (256, tf.uint8),
        (-1, tf.uint8),
        (2**70, tf.int64),
        (True, tf.int32),
        (1, tf.bool),
        ("1", tf.float32),
        (None, tf.float32),
        ({"b64": "AAAA"}, tf.float32),
    ],
)
def test_what_a_type_cannot_hold_is_refused(value, dtype):
    with pytest.raises(RequestError, match="instance 1: x "):
        tensor_of("x", [value == "no" or _fitting(dtype), value], tf.TensorSpec([None], dtype))


def _fitting(dtype):
    return True if dtype == tf.bool else 0


def test_a_scalar_input_is_not_a_list():
    spec = tf.TensorSpec([], tf.int64)
    assert tensor_of("limit", 3, spec).tolist() == 3
    with pytest.raises(RequestError, match=r"input 'limit' takes shape \(\), got \(1,\)"):
        tensor_of("limit", [3], spec)


def test_instances_of_one_shape():
    with pytest.raises(RequestError, match=r"instance 2: x has shape \(1,\), the first \(2,\)"):
        tensor_of("x", [[1, 2], [3, 4], [5]], tf.TensorSpec([None, None], tf.float32))
