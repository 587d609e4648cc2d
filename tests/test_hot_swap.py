"""Versions come and go under clients that never pause: the version that is named has answered."""

import concurrent.futures
import contextlib
import dataclasses
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from components.push.targets.repository import RepositoryTarget
from components.serve.tests.server_process import Server, free_port, start_server
from components.serve.tests.small_model import b64, build_model, photograph
from components.serve.tests.tf_serving_client import arrays, channel, request
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import Model, read_model

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("DARKROOM_SWAPS", "1"))
"""Rounds of pushes, canaries and rollbacks; 20 were run when this was written."""
PHOTOGRAPHS = [photograph(seed) for seed in range(24)]
TOGETHER = 3
"""Photographs of a request, all of which one version must answer."""
NEAR = 1e-5
"""How far a shared call may be from one alone."""


@dataclasses.dataclass(frozen=True)
class Answered:
    """What a client was told: by which version, of the photographs from which number on."""

    client: str
    version: int
    first: int
    probabilities: Any


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    """Two models whose answers differ for every photograph."""
    folder = tmp_path_factory.mktemp("models")
    return [made(build_model(folder / str(seed), seed)) for seed in (1, 2)]


def made(folder: Path) -> Model:
    write_manifest(folder, "model", {"labels": ["daisy", "rose", "Löwenzahn"]})
    return read_model(folder)


@pytest.fixture
def target(tmp_path: Path) -> RepositoryTarget:
    return RepositoryTarget(str(tmp_path / "flowers"))


@pytest.fixture
def server(models: list[Model], target: RepositoryTarget, tmp_path: Path) -> Iterator[Server]:
    target.publish(models[0])
    grpc_port = free_port()
    options = ["--poll-seconds", "0.1", "--grpc-port", str(grpc_port)]
    server = start_server(tmp_path / "flowers", "flowers", tmp_path / "log", *options)
    server.grpc_port = grpc_port
    try:
        server.wait_until(server.serving)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


def rest(server: Server) -> Iterator[Callable[[list[bytes]], tuple[int, Any]]]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:

        def ask(images: list[bytes]) -> tuple[int, Any]:
            body = {"instances": [b64(image) for image in images]}
            response = client.post("/v1/models/flowers:predict", json=body)
            assert response.status_code == 200, response.text
            rows = response.json()["predictions"]
            version = int(response.headers["x-model-version"])
            return version, [row["probabilities"] for row in rows]

        yield ask


def tf_serving(server: Server) -> Iterator[Callable[[list[bytes]], tuple[int, Any]]]:
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    with channel(server) as opened:
        stub = PredictionServiceStub(opened)

        def ask(images: list[bytes]) -> tuple[int, Any]:
            answer = stub.Predict(request("flowers", image_bytes=images), 60)
            return answer.model_spec.version.value, arrays(answer)["probabilities"]

        yield ask


def v2(server: Server) -> Iterator[Callable[[list[bytes]], tuple[int, Any]]]:
    from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest
    from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

    with channel(server) as opened:
        stub = GRPCInferenceServiceStub(opened)

        def ask(images: list[bytes]) -> tuple[int, Any]:
            message = ModelInferRequest(model_name="flowers")
            tensor = message.inputs.add(name="image_bytes", datatype="BYTES", shape=[len(images)])
            tensor.contents.bytes_contents.extend(images)
            answer = stub.ModelInfer(message, timeout=60)
            (found,) = [each for each in answer.outputs if each.name == "probabilities"]
            values = np.reshape(found.contents.fp32_contents, found.shape)
            return int(answer.model_version), values

        yield ask


CLIENTS = {"rest": rest, "rest 2": rest, "tf serving": tf_serving, "v2": v2}


def ask_without_pause(client: str, server: Server, done: threading.Event) -> list[Answered]:
    answered: list[Answered] = []
    with contextlib.contextmanager(CLIENTS[client])(server) as ask:
        while not done.is_set():
            first = len(answered) % (len(PHOTOGRAPHS) - TOGETHER)
            version, probabilities = ask(PHOTOGRAPHS[first : first + TOGETHER])
            answered.append(Answered(client, version, first, np.array(probabilities)))
    return answered


def push_and_take_back(
    server: Server, target: RepositoryTarget, models: list[Model], model_of: dict[int, int]
) -> None:
    """A push, a canary that is promoted, one that is taken back, and a rollback."""

    def publish(model: int, traffic: int = 100) -> int:
        number = target.publish(models[model], traffic).number
        model_of[number] = model
        return number

    def served(*numbers: int) -> Callable[[], bool]:
        wanted = sorted(map(str, numbers))
        return lambda: sorted(available(server)) == wanted

    first = publish(1)
    server.wait_until(served(first))
    canary = publish(0, traffic=40)
    server.wait_until(served(first, canary))
    target.promote()
    server.wait_until(served(canary))
    other = publish(1, traffic=50)
    server.wait_until(served(canary, other))
    target.rollback()
    server.wait_until(served(canary))
    target.rollback()
    server.wait_until(served(first))
    last = publish(0)
    server.wait_until(served(last))
    target.prune(2)


def available(server: Server) -> list[str]:
    states = server.get().json()["model_version_status"]
    return [state["version"] for state in states if state["state"] == "AVAILABLE"]


def test_no_request_fails_and_no_answer_is_mixed(
    server: Server, target: RepositoryTarget, models: list[Model]
) -> None:
    expected = [expected_of(model) for model in models]
    assert (np.abs(expected[0] - expected[1]).max(-1) > 100 * NEAR).all()
    current = target.current()
    assert current is not None
    model_of, done = {current.number: 0}, threading.Event()
    with concurrent.futures.ThreadPoolExecutor(len(CLIENTS)) as threads:
        asking = [threads.submit(ask_without_pause, name, server, done) for name in CLIENTS]
        try:
            for _ in range(ROUNDS):
                push_and_take_back(server, target, models, model_of)
        finally:
            done.set()
    answered = [each for client in asking for each in client.result()]
    for each in answered:
        wanted = expected[model_of[each.version]][each.first : each.first + TOGETHER]
        np.testing.assert_allclose(each.probabilities, wanted, atol=NEAR, err_msg=str(each))
    versions = Counter((each.client, each.version) for each in answered)
    assert {client for client, _ in versions} == set(CLIENTS)
    assert len({version for _, version in versions}) > 3 * ROUNDS
    print(f"{len(answered)} requests, {len(model_of)} versions, {dict(versions)}")
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "cannot be loaded" not in log


def expected_of(model: Model) -> Any:
    import tensorflow as tf

    signature = tf.saved_model.load(str(model.folder)).signatures["serving_default"]
    return signature(image_bytes=tf.constant(PHOTOGRAPHS))["probabilities"].numpy()
