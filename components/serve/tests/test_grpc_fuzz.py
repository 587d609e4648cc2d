"""Whatever a client sends to Predict, it is answered by one of the documented codes."""

from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from components.serve.tests.fuzz import REQUESTS, seeded, unharmed
from components.serve.tests.small_model import photograph
from components.serve.tests.tf_serving_client import channel, predict, request

pytestmark = pytest.mark.slow

DOCUMENTED = {
    StatusCode.INVALID_ARGUMENT,
    StatusCode.NOT_FOUND,
    StatusCode.PERMISSION_DENIED,
    StatusCode.RESOURCE_EXHAUSTED,
}
SIGNATURES = [
    *["", "serving_default", "with_key", "embedding", "from_filenames", "from_examples"],
    *["xai_preprocess", "xai_model", "thumbnail", "busy", "none"],
]
INPUTS = ["image_bytes", "key", "filenames", "examples", "input_images", "rounds"]
IMAGES = [photograph(seed, form) for seed, form in enumerate(["JPEG", "PNG", "BMP", "GIF"])]

truncated = st.builds(lambda image, end: image[:end], st.sampled_from(IMAGES), st.integers(0, 900))
data = st.one_of(st.sampled_from(IMAGES), truncated, st.binary(max_size=50))
outputs = st.sampled_from(["label", "embedding", "thumbnail_bytes", "none"])
sizes = st.lists(st.one_of(st.integers(-2, 9), st.integers(-(2**63), 2**63 - 1)), max_size=5)


@st.composite
def tensors(draw: Any) -> Any:
    """A TensorProto: well made, or with a dtype, a shape and values that do not fit together."""
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    if draw(st.booleans()):
        return tf.make_tensor_proto(draw(st.lists(data, min_size=1, max_size=4)))
    if draw(st.booleans()):
        shape = draw(st.sampled_from([(1,), (2, 8, 8, 3), (1, 8, 8, 4), (0,), ()]))
        dtype = draw(st.sampled_from([np.float32, np.int32, np.float16, np.bool_, np.complex64]))
        return tf.make_tensor_proto(np.zeros(shape, dtype))
    tensor = TensorProto(
        dtype=draw(st.one_of(st.sampled_from([1, 3, 7, 7, 7, 9]), st.integers(0, 200))),
        tensor_content=draw(st.one_of(st.just(b""), st.binary(max_size=800))),
        string_val=draw(st.lists(data, max_size=3)),
        float_val=draw(st.lists(st.floats(width=32), max_size=3)),
        int_val=draw(st.lists(st.integers(0, 1), max_size=3)),
    )
    tensor.tensor_shape.unknown_rank = draw(st.booleans())
    for size in draw(sizes):
        tensor.tensor_shape.dim.add(size=size)
    return tensor


@st.composite
def requests(draw: Any) -> Any:
    import tensorflow as tf

    message = request(draw(st.sampled_from(["flowers"] * 6 + ["other", ""])))
    spec = message.model_spec
    if draw(st.integers(0, 2)):  # nothing wrong, but for the images and the filter
        spec.signature_name = draw(st.sampled_from(["", "embedding", "thumbnail"]))
        message.model_spec.name = "flowers"
        images = draw(st.lists(data, min_size=1, max_size=3))
        message.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(images))
        message.output_filter.extend(draw(st.lists(outputs, max_size=1)))
        return message
    spec.signature_name = draw(st.one_of(st.sampled_from(SIGNATURES), st.text(max_size=9)))
    choice = draw(st.integers(0, 9))
    if choice == 0:
        spec.version.value = draw(st.integers(-(2**63), 2**63 - 1))
    elif choice == 1:
        spec.version_label = draw(st.text(max_size=9))
    names = st.one_of(st.sampled_from(INPUTS), st.text(max_size=9))
    for name, tensor in draw(st.dictionaries(names, tensors(), max_size=2)).items():
        message.inputs[name].CopyFrom(tensor)
    message.output_filter.extend(draw(st.lists(outputs, max_size=2)))
    return message


def test_no_request_is_the_server_s_fault(server):
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    counts: dict[StatusCode, int] = {}
    with channel(server) as opened, unharmed(server):
        ask = PredictionServiceStub(opened).Predict

        @seeded(REQUESTS // 4)
        @given(requests())
        def each(message: Any) -> None:
            code = StatusCode.OK
            error = ask.future(message, 60).exception()
            if error is not None:
                code = error.code()
                assert code in DOCUMENTED, error.details()
                assert 0 < len(error.details()) <= 500
            counts[code] = counts.get(code, 0) + 1

        each()
    assert counts[StatusCode.OK] > REQUESTS // 120
    assert counts[StatusCode.INVALID_ARGUMENT] > REQUESTS // 120
    assert predict(server, request("flowers", image_bytes=IMAGES)).model_spec.version.value == 3
