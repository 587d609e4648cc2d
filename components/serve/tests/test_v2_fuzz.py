"""Whatever a client sends over V2's gRPC, or asks TF Serving's about, has a documented answer."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from components.serve.tests.fuzz import REQUESTS, seeded, unharmed
from components.serve.tests.server_process import Server
from components.serve.tests.small_model import photograph
from components.serve.tests.test_grpc_fuzz import DOCUMENTED, data
from components.serve.tests.tf_serving_client import channel, refused

pytestmark = pytest.mark.slow

Counts = Counter[StatusCode]
SERVICES = ["tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"]

names = st.one_of(st.sampled_from(["flowers"] * 6 + ["other"]), st.text(max_size=9))
versions = st.one_of(st.sampled_from(["", "3"]), st.text(max_size=5))
tensor_names = st.one_of(st.just("image_bytes"), st.text(max_size=9))
datatypes = st.one_of(
    st.sampled_from(["BYTES", "BYTES", "FP32", "FP16", "BOOL", "UINT8", "INT64"]),
    st.text(max_size=5),
)
numbers = st.one_of(st.integers(-2, 4), st.integers(-(2**63), 2**63 - 1))
parameters = st.dictionaries(
    st.one_of(st.sampled_from(["binary_data", "content_type", "priority"]), st.text(max_size=5)),
    st.one_of(
        st.builds(lambda value: v2.InferParameter(bool_param=value), st.booleans()),
        st.builds(lambda value: v2.InferParameter(int64_param=value), numbers),
        st.builds(lambda value: v2.InferParameter(string_param=value), st.text(max_size=5)),
        st.builds(v2.InferParameter),
    ),
    max_size=2,
)
contents = st.one_of(
    st.builds(
        v2.InferTensorContents,
        bytes_contents=st.lists(data, max_size=3),
        int64_contents=st.lists(numbers, max_size=3),
        fp32_contents=st.lists(st.floats(width=32), max_size=3),
        bool_contents=st.lists(st.booleans(), max_size=3),
    ),
    st.builds(v2.InferTensorContents, bytes_contents=st.lists(data, max_size=3)),
)


def prefixed(images: list[bytes]) -> bytes:
    """BYTES as they follow a message: each after its length."""
    return b"".join(len(image).to_bytes(4, "little") + image for image in images)


raw = st.one_of(st.builds(prefixed, st.lists(data, max_size=3)), st.binary(max_size=40))


@st.composite
def tensors(draw: Any) -> Any:
    return v2.ModelInferRequest.InferInputTensor(
        name=draw(tensor_names),
        datatype=draw(datatypes),
        shape=draw(st.lists(numbers, max_size=3)),
        parameters=draw(parameters),
        contents=draw(st.one_of(st.none(), contents)),
    )


@st.composite
def infer_requests(draw: Any) -> Any:
    images = draw(st.lists(data, min_size=1, max_size=3))
    message = v2.ModelInferRequest(model_name="flowers", id=draw(st.text(max_size=3)))
    tensor = message.inputs.add(name="image_bytes", datatype="BYTES", shape=[len(images)])
    kind = draw(st.sampled_from(["typed", "raw", "any", "any"]))
    if kind == "typed":
        tensor.contents.bytes_contents.extend(images)
    elif kind == "raw":
        message.raw_input_contents.append(prefixed(images))
    else:
        message.model_name, message.model_version = draw(names), draw(versions)
        del message.inputs[:]
        message.inputs.extend(draw(st.lists(tensors(), max_size=2)))
        message.raw_input_contents.extend(draw(st.lists(raw, max_size=2)))
    other = st.text(max_size=5) if kind == "any" else st.just("probabilities")
    for name in draw(st.lists(st.one_of(st.just("label"), other), max_size=2, unique=True)):
        message.outputs.add(name=name, parameters=draw(parameters))
    for key, value in draw(parameters).items():
        message.parameters[key].CopyFrom(value)
    return message


def answered(method: Any, message: Any, counts: Counts, *more: StatusCode) -> None:
    """Sends a request, and checks that its answer is a documented one."""
    error = method.future(message, 60).exception()
    code = StatusCode.OK if error is None else error.code()
    assert code in {StatusCode.OK, *DOCUMENTED, *more}, (message, code, error and error.details())
    if error is not None:
        assert 0 < len(error.details()) <= 500
    counts[code] += 1


def test_no_v2_request_is_the_server_s_fault(server: Server) -> None:
    counts: Counts = Counter()
    with channel(server) as opened, unharmed(server):
        infer = GRPCInferenceServiceStub(opened).ModelInfer

        @seeded(REQUESTS // 6)
        @given(infer_requests())
        def each(message: Any) -> None:
            answered(infer, message, counts)

        each()
    assert counts[StatusCode.OK] > REQUESTS // 120
    assert counts[StatusCode.INVALID_ARGUMENT] > REQUESTS // 120


def test_no_question_about_a_model_is_the_server_s_fault(server: Server) -> None:
    counts: Counts = Counter()
    with channel(server) as opened, unharmed(server):

        @seeded(REQUESTS // 12)
        @given(questions(opened))
        def each(question: tuple[Any, Any]) -> None:
            answered(*question, counts, StatusCode.UNIMPLEMENTED)

        each()
    assert {StatusCode.OK, StatusCode.NOT_FOUND, StatusCode.UNIMPLEMENTED} <= set(counts)


def questions(opened: Any) -> Any:
    """A method and its request, of those that are no prediction or that are not offered."""
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        regression_pb2,
    )
    from tensorflow_serving.apis.model_pb2 import ModelSpec
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    tf_serving, inference = PredictionServiceStub(opened), GRPCInferenceServiceStub(opened)

    def spec(name: str, choice: Any) -> Any:
        made = ModelSpec(name=name)
        if isinstance(choice, int):
            made.version.value = choice
        elif choice is not None:
            made.version_label = choice
        return made

    choices = st.one_of(st.none(), st.just(3), numbers, st.just("stable"), st.text(max_size=5))
    specs = st.builds(spec, names, choices)

    def asked(method: Callable[..., Any], message: Any, **fields: Any) -> Any:
        return st.tuples(st.just(method), st.builds(message, **fields))

    fields = st.lists(st.one_of(st.just("signature_def"), st.text(max_size=5)), max_size=2)
    return st.one_of(
        asked(
            tf_serving.GetModelMetadata,
            get_model_metadata_pb2.GetModelMetadataRequest,
            model_spec=specs,
            metadata_field=fields,
        ),
        asked(
            ModelServiceStub(opened).GetModelStatus,
            get_model_status_pb2.GetModelStatusRequest,
            model_spec=specs,
        ),
        asked(tf_serving.Classify, classification_pb2.ClassificationRequest, model_spec=specs),
        asked(tf_serving.Regress, regression_pb2.RegressionRequest, model_spec=specs),
        asked(tf_serving.MultiInference, inference_pb2.MultiInferenceRequest),
        asked(inference.ServerLive, v2.ServerLiveRequest),
        asked(inference.ServerReady, v2.ServerReadyRequest),
        asked(inference.ServerMetadata, v2.ServerMetadataRequest),
        asked(inference.ModelReady, v2.ModelReadyRequest, name=names, version=versions),
        asked(inference.ModelMetadata, v2.ModelMetadataRequest, name=names, version=versions),
        asked(inference.RepositoryModelLoad, v2.RepositoryModelLoadRequest, model_name=names),
        asked(inference.RepositoryModelUnload, v2.RepositoryModelUnloadRequest, model_name=names),
    )


@pytest.mark.parametrize(
    "method",
    [
        "tensorflow.serving.PredictionService/Predict",
        "tensorflow.serving.ModelService/GetModelStatus",
        "inference.GRPCInferenceService/ModelInfer",
        "grpc.health.v1.Health/Check",
    ],
)
def test_bytes_that_are_no_message_are_the_client_s_fault(server: Server, method: str) -> None:
    counts: Counts = Counter()
    with channel(server) as opened, unharmed(server):
        ask = opened.unary_unary(f"/{method}", None, None)
        for content in (b"\xff" * 20, photograph(1), b"\x0a\xff\xff\xff\xff\x0f", b"\x08"):
            answered(ask, content, counts)
    assert set(counts) <= {StatusCode.OK, StatusCode.INVALID_ARGUMENT}


def test_a_stream_of_bytes_that_are_no_message_is_the_client_s_fault(server: Server) -> None:
    method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    refusal = refused(StatusCode.INVALID_ARGUMENT, "the bytes are no message")
    with channel(server) as opened, unharmed(server), refusal:
        list(opened.stream_stream(method, None, None)(iter([b"\xff" * 20])))


def test_what_is_refused_is_forgotten(server: Server) -> None:
    """A refusal that kept its request would fill the memory: one of 6 MB is 50 MB once parsed."""
    message = v2.ModelInferRequest(model_name="flowers")
    image = message.inputs.add(name="image_bytes", datatype="BYTES", shape=[1])
    image.contents.bytes_contents.extend([b""] * 3_000_000)
    counts: Counts = Counter()
    with channel(server) as opened, unharmed(server):
        for _ in range(12):
            answered(GRPCInferenceServiceStub(opened).ModelInfer, message, counts)
    assert set(counts) == {StatusCode.RESOURCE_EXHAUSTED}
