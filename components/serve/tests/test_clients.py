"""The clients that others publish, and the commands of our own pages, all with the same answer."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import pytest
import requests
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig

from components.serve.tests.server_process import ROOT, Server
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import channel

pytestmark = pytest.mark.slow

PHOTOGRAPH = photograph(11)
IMAGES = np.array([PHOTOGRAPH, photograph(12)], dtype=object)


@pytest.fixture
def expected(server: Server) -> Any:
    body = {"instances": [b64(image) for image in IMAGES]}
    rows = server.predict(body).json()["predictions"]
    return [row["probabilities"] for row in rows]


def near(expected: Any) -> Any:
    return pytest.approx(np.array(expected), abs=1e-6)


def test_requests(server: Server, expected: Any) -> None:
    url = f"http://127.0.0.1:{server.port}/v1/models/flowers"
    body = {"instances": [b64(image) for image in IMAGES]}
    answer = requests.post(f"{url}:predict", json=body, timeout=60)
    answer.raise_for_status()
    assert [row["probabilities"] for row in answer.json()["predictions"]] == near(expected)
    assert requests.get(url, timeout=60).json()["model_version_status"][0]["state"] == "AVAILABLE"


def infer_request() -> kserve.InferRequest:
    tensor = kserve.InferInput("image_bytes", [2], "BYTES")
    tensor.set_data_from_numpy(IMAGES, binary_data=True)
    return kserve.InferRequest("flowers", [tensor])


def probabilities(response: Any) -> Any:
    (found,) = [output for output in response.outputs if output.name == "probabilities"]
    return found.as_numpy()


def test_kserves_rest_client(server: Server, expected: Any) -> None:
    url = f"http://127.0.0.1:{server.port}"

    async def ask() -> None:
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as v2:
            assert await v2.is_server_live(url)
            assert await v2.is_server_ready(url)
            assert await v2.is_model_ready(url, "flowers")
            assert not await v2.is_model_ready(url, "other")
            response = await v2.infer(url, infer_request(), "flowers")
            assert probabilities(response) == near(expected)
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as v1:
            assert await v1.is_server_live(url)
            assert await v1.is_model_ready(url, "flowers")
            body = {"instances": [b64(image) for image in IMAGES]}
            response = await v1.infer(url, body, "flowers")
            assert [row["probabilities"] for row in response["predictions"]] == near(expected)

    asyncio.run(ask())


def test_kserves_grpc_client(server: Server, expected: Any) -> None:
    async def ask() -> None:
        async with InferenceGRPCClient(f"127.0.0.1:{server.grpc_port}") as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("flowers")
            response = await client.infer(infer_request())
            assert probabilities(response) == near(expected)

    asyncio.run(ask())


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tritons_client(server: Server, expected: Any, protocol: str) -> None:
    """In a process of its own: its messages have the names of KServe's."""
    port = server.port if protocol == "http" else server.grpc_port
    module = "components.serve.tests.triton_client"
    command = [sys.executable, "-m", module, protocol, f"127.0.0.1:{port}", json.dumps(expected)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "answered\n"), done.stderr


def test_reflection_is_enough_to_ask(server: Server, expected: Any) -> None:
    """As grpcurl does: no compiled message, all that is known comes from the server."""
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    with channel(server) as opened:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(opened))
        service = pool.FindServiceByName("inference.GRPCInferenceService")
        method = service.FindMethodByName("ModelInfer")
        request = GetMessageClass(method.input_type)(model_name="flowers")
        image = request.inputs.add(name="image_bytes", datatype="BYTES", shape=[2])
        image.contents.bytes_contents.extend(IMAGES)
        path = f"/{service.full_name}/{method.name}"
        parse = GetMessageClass(method.output_type).FromString
        ask = opened.unary_unary(path, type(request).SerializeToString, parse)
        response = ask(request, 60)
        (found,) = [o for o in response.outputs if o.name == "probabilities"]
        assert np.reshape(found.contents.fp32_contents, (2, 3)) == near(expected)
        service = pool.FindServiceByName("tensorflow.serving.PredictionService")
        assert "Predict" in service.methods_by_name


SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
PAGES = ["README.md", "docs/serving.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_commands(server: Server, expected: Any, tmp_path: Path, page: str) -> None:
    """Word for word, but for the port and the name of the model."""
    for name in ("photograph.jpg", "photograph.png"):
        (tmp_path / name).write_bytes(PHOTOGRAPH)
    blocks = SHELL.findall((ROOT / page).read_text(encoding="utf-8"))
    found = [block[block.index("echo") :] for block in blocks if "curl -d @-" in block]
    assert found
    for command in found:
        here = re.sub(
            r"localhost:8501/v1/models/\w+", f"localhost:{server.port}/v1/models/flowers", command
        )
        done = subprocess.run(
            ["bash", "-c", here], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert '"probabilities"' in done.stdout, done
        assert str(expected[0][0])[:7] in done.stdout
