"""Status and metadata as TF Serving gives them, and what comes with KServe."""

import asyncio

import numpy as np
import pytest

from components.serve.tests.small_model import LABELS, photograph

pytestmark = pytest.mark.slow

AVAILABLE = {
    "version": "3",
    "state": "AVAILABLE",
    "status": {"error_code": "OK", "error_message": ""},
}


@pytest.mark.parametrize("path", ["", "/versions/3"])
def test_status(server, path):
    response = server.get(path)
    assert response.status_code == 200
    assert response.json() == {"model_version_status": [AVAILABLE], "ready": True}


@pytest.mark.parametrize("path", ["", "/metadata", "/versions/3"])
def test_an_unknown_model_is_not_found(server, path):
    response = server.client.get(f"/v1/models/flower{path}")
    assert response.status_code == 404
    assert response.json() == {"error": "unknown model 'flower'; did you mean 'flowers'?"}


@pytest.mark.parametrize("path", ["/versions/4", "/versions/4/metadata", "/versions/x"])
def test_an_unknown_version_is_not_found(server, path):
    response = server.get(path)
    assert response.status_code == 404
    assert response.json().keys() == {"error"}


@pytest.mark.parametrize("path", ["/metadata", "/versions/3/metadata"])
def test_metadata_describes_the_signatures(server, path):
    document = server.get(path).json()
    assert document["model_spec"] == {"name": "flowers", "signature_name": "", "version": "3"}
    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "with_key", "embedding", "from_examples"} <= signatures.keys()
    default = signatures["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    image_bytes = default["inputs"]["image_bytes"]
    assert image_bytes["dtype"] == "DT_STRING"
    assert image_bytes["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert default["outputs"]["probabilities"]["tensor_shape"]["dim"][1]["size"] == "3"
    assert document["metadata"]["labels"] == {"names": LABELS, "separator": " "}


def test_health_and_metrics(server):
    assert server.client.get("/").json() == {"status": "alive"}
    page = server.client.get("/", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert server.client.get("/v2/health/ready").json() == {"ready": True}
    assert server.client.get("/v2/models/flowers/ready").status_code == 200
    server.predict({"signature_name": "busy", "instances": [1]})
    metrics = server.client.get("/metrics").text
    assert 'request_predict_seconds_count{model_name="flowers"}' in metrics


def test_a_client_cannot_unload_the_model(server):
    url = "/v2/repository/models/flowers"
    assert server.client.post(f"{url}/unload").status_code == 400
    assert server.client.post(f"{url}/load").status_code == 400
    assert server.get().status_code == 200


def test_v2_metadata_names_the_inputs_and_outputs(server):
    document = server.client.get("/v2/models/flowers").json()
    assert document["inputs"] == [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}]
    probabilities = {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]}
    assert probabilities in document["outputs"]


def infer(server, name, images):
    """The V2 answer over gRPC."""
    import kserve

    tensor = kserve.InferInput(name, [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, dtype=object))
    request = kserve.InferRequest("flowers", [tensor])

    async def ask():
        client = kserve.InferenceGRPCClient(f"127.0.0.1:{server.grpc_port}")
        try:
            return await client.infer(request)
        finally:
            await client.close()

    return asyncio.run(ask())


def test_grpc_gives_the_same_probabilities(server, direct):
    images = [photograph(seed) for seed in range(3)]
    response = infer(server, "image_bytes", images)
    outputs = {output.name: output.as_numpy() for output in response.outputs}
    expected = direct(image_bytes=images)
    assert outputs.keys() == expected.keys()
    np.testing.assert_array_equal(outputs["probabilities"], expected["probabilities"])
    assert outputs["label"].tolist() == expected["label"].tolist()
    assert response.model_version == "3"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("image_bytes", b"no image", "instance 0: Unknown image file format"),
        ("image", photograph(1), "unknown input 'image'; did you mean 'image_bytes'?"),
    ],
)
def test_grpc_refuses_what_rest_refuses(server, name, data, message):
    with pytest.raises(Exception, match=message.replace("?", r"\?")) as caught:
        infer(server, name, [data])
    assert "INVALID_ARGUMENT" in str(caught.value)
