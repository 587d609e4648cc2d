"""TF Serving's gRPC, asked with its own stubs: the same answers and refusals as REST."""

import time
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import StatusCode

from components.serve.tests.small_model import photograph
from components.serve.tests.tf_serving_client import arrays, channel, predict, refused, request

pytestmark = pytest.mark.slow

IMAGES = [photograph(seed, form) for seed, form in enumerate(["JPEG", "PNG", "BMP", "GIF"])]


def good(**spec: Any) -> Any:
    message = request("flowers", image_bytes=IMAGES)
    for name, value in spec.items():
        if name == "version":
            message.model_spec.version.value = value
        else:
            setattr(message.model_spec, name, value)
    return message


def test_it_gives_what_the_signature_gives(server, direct):
    response = predict(server, good())
    expected = direct(image_bytes=IMAGES)
    given = arrays(response)
    assert given.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(given[name], array)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("flowers", 3, "serving_default")
    # Clients read the field of the type, as TF Serving fills it.
    values = response.outputs["probabilities"].float_val
    assert list(values) == expected["probabilities"].ravel().tolist()


def test_other_signatures_and_dtypes(server, direct):
    images = direct("xai_preprocess", image_bytes=IMAGES)["input_images"]
    given = arrays(predict(server, request("flowers", "xai_model", input_images=images)))
    expected = direct("xai_model", input_images=images)
    np.testing.assert_array_equal(given["probabilities"], expected["probabilities"])
    keys = [b"a", "ключ".encode(), b"\xff\0", b"last\0"]
    given = arrays(predict(server, request("flowers", "with_key", image_bytes=IMAGES, key=keys)))
    assert given["key"].tolist() == keys
    given = arrays(predict(server, request("flowers", "busy", rounds=np.array([1], np.int32))))
    assert given == {"rounds": [1], "total": [64.0]}


def test_output_filter_chooses(server):
    message = good()
    message.output_filter.append("label")
    assert list(predict(server, message).outputs) == ["label"]
    message.output_filter.append("label")
    with refused(StatusCode.INVALID_ARGUMENT, "the request names an output twice"):
        predict(server, message)
    message.output_filter[:] = ["labl"]
    with refused(StatusCode.INVALID_ARGUMENT, "unknown output 'labl'; did you mean 'label'?"):
        predict(server, message)


def test_versions_are_asked_for_by_number_and_label(server):
    for message in (good(version=3), good(version_label="stable")):
        assert predict(server, message).model_spec.version.value == 3
    for message, why in {
        "version 2 is not served; version 3 is": good(version=2),
        "no version that is served has the label 'canary'": good(version_label="canary"),
        "unknown model 'flower'; did you mean 'flowers'?": good(name="flower"),
    }.items():
        with refused(StatusCode.NOT_FOUND, message):
            predict(server, why)


def shaped(*sizes: int) -> Any:
    """An image whose message claims another shape."""
    message = request("flowers", image_bytes=IMAGES[:1])
    message.inputs["image_bytes"].tensor_shape.ClearField("dim")
    for size in sizes:
        message.inputs["image_bytes"].tensor_shape.dim.add(size=size)
    return message


def wrong() -> dict[str, Any]:
    unknown = request("flowers", image_bytes=IMAGES)
    unknown.inputs["image_bytes"].dtype = 999
    cut = request("flowers", "xai_model", input_images=np.zeros([1, 8, 8, 3], np.float32))
    cut.inputs["input_images"].tensor_content = b"abc"
    content = request("flowers", image_bytes=IMAGES)
    content.inputs["image_bytes"].tensor_content = b"abc"
    return {
        "unknown signature 'with_kez'; did you": good(signature_name="with_kez"),
        "unknown input 'image_byte'; did you mean": request("flowers", image_byte=IMAGES),
        "input 'key' is missing": request("flowers", "with_key", image_bytes=IMAGES),
        "takes string values, got float32": request("flowers", image_bytes=[1.0]),
        "got the unknown type 999": unknown,
        "takes shape (None,), got ()": request("flowers", image_bytes=IMAGES[0]),
        "must hold at least one value": shaped(0),
        "must have a shape of known sizes": shaped(-1),
        "does not hold the values of shape (1, 8, 8, 3) and float32": cut,
        "does not hold the values of shape (4,) and string": content,
        "the inputs hold different numbers of values: ": request(
            "flowers", "with_key", image_bytes=IMAGES, key=[b"a"]
        ),
        "instance 1: jpeg::Uncompress failed": request(
            "flowers", image_bytes=[IMAGES[0], IMAGES[0][:300]]
        ),
        "instance 0: Could not parse example": request("flowers", "from_examples", examples=["a"]),
        "unknown input 'nnn": request("flowers", **{"n" * 100_000: IMAGES}),
    }


def test_wrong_requests_are_said_in_one_line(server):
    for message, each in wrong().items():
        with refused(StatusCode.INVALID_ARGUMENT, message):
            predict(server, each)
    assert predict(server, good()).model_spec.version.value == 3
    assert "Traceback" not in server.log.read_text()


def test_a_small_message_that_stands_for_gigabytes_is_refused(server):
    with refused(StatusCode.RESOURCE_EXHAUSTED, "is over 104,857,600 bytes"):
        predict(server, shaped(2**40))
    # A string that is repeated is sent once, and could take any memory.
    with refused(StatusCode.INVALID_ARGUMENT, "does not hold the values of shape (2000,)"):
        predict(server, shaped(2000))
    with refused(StatusCode.RESOURCE_EXHAUSTED, "2,000 instances, and 1,024 at most"):
        predict(server, request("flowers", image_bytes=[IMAGES[0]] * 2000))


def test_files_are_read_below_allowed_folders_only(server, tmp_path):
    photo = tmp_path / "a.jpg"
    photo.write_bytes(IMAGES[0])
    allowed = request("flowers", "from_filenames", filenames=[str(photo)])
    assert arrays(predict(server, allowed))["filenames"] == [str(photo).encode()]
    message = request("flowers", "from_filenames", filenames=["/etc/hostname"])
    with refused(StatusCode.PERMISSION_DENIED, "this server reads no files for its clients"):
        predict(server, message)


def test_a_client_s_deadline_ends_its_request(server):
    slow = request("flowers", "busy", rounds=np.array([300], np.int32))
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        predict(server, slow, 0.3)
    assert caught.value.code() == StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 3


def test_metadata_and_status(server):
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    metadata = get_model_metadata_pb2.GetModelMetadataRequest()
    metadata.model_spec.name = "flowers"
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "flowers"
    with channel(server) as opened:
        service, states = PredictionServiceStub(opened), ModelServiceStub(opened)
        with refused(StatusCode.INVALID_ARGUMENT, "metadata_field must be 'signature_def'"):
            service.GetModelMetadata(metadata)
        metadata.metadata_field.append("signature_def")
        response = service.GetModelMetadata(metadata)
        found = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(found)
        default = found.signature_def["serving_default"]
        assert default.inputs["image_bytes"].tensor_shape.dim[0].size == -1
        assert default.method_name == "tensorflow/serving/predict"
        (state,) = states.GetModelStatus(status).model_version_status
        assert (state.version, state.State.Name(state.state)) == (3, "AVAILABLE")
        status.model_spec.version.value = 9
        with refused(StatusCode.NOT_FOUND, "model 'flowers' has no version 9"):
            states.GetModelStatus(status)


def test_what_is_not_served_says_why(server):
    from tensorflow_serving.apis import (
        classification_pb2,
        inference_pb2,
        model_management_pb2,
        regression_pb2,
    )
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    with channel(server) as opened:
        service = PredictionServiceStub(opened)
        for method, message in (
            (service.Classify, classification_pb2.ClassificationRequest()),
            (service.Regress, regression_pb2.RegressionRequest()),
            (service.MultiInference, inference_pb2.MultiInferenceRequest()),
        ):
            with refused(StatusCode.UNIMPLEMENTED, "for predict, not for classify"):
                method(message)
        reload = model_management_pb2.ReloadConfigRequest()
        with refused(StatusCode.UNIMPLEMENTED, "push a version, or roll one back"):
            ModelServiceStub(opened).HandleReloadConfigRequest(reload)


def test_reflection_lists_all_services(server):
    from google.protobuf.descriptor_pool import DescriptorPool
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase,
    )

    with channel(server) as opened:
        database = ProtoReflectionDescriptorDatabase(opened)
        assert set(database.get_services()) == {
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "inference.GRPCInferenceService",
            "tensorflow.serving.ModelService",
            "tensorflow.serving.PredictionService",
        }
        name = "tensorflow.serving.PredictionService"
        assert DescriptorPool(database).FindServiceByName(name).methods_by_name["Predict"]
