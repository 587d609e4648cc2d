"""The model and the server that the tests share."""

import os

# Read when TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.serve.tests.noted_server import Collector, noted
from components.serve.tests.server_process import Server, free_port, push, start_server
from components.serve.tests.small_model import build_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SavedModel directory that the server serves."""
    return build_model(tmp_path_factory.mktemp("built") / "first", seed=1)


@pytest.fixture(scope="session")
def next_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another, whose probabilities differ."""
    return build_model(tmp_path_factory.mktemp("built") / "second", seed=2)


@pytest.fixture(scope="session")
def base_dir(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TF Serving base directory whose highest version is 3."""
    folder = tmp_path_factory.mktemp("models") / "flowers"
    push(model, folder / "3")
    return folder


@pytest.fixture(scope="session")
def server(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of `base_dir`; a test that pushes to it takes its version away again."""
    grpc_port = free_port()
    options = ["--poll-seconds", "0.2", "--grpc-port", str(grpc_port)]
    options += ["--allow-files", str(tmp_path_factory.getbasetemp())]
    server = start_server(base_dir, "flowers", base_dir.parent / "log", *options)
    server.grpc_port = grpc_port
    try:
        server.wait_until(server.serving)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


@pytest.fixture(scope="session")
def direct(model: Path) -> Any:
    """The signatures of the same SavedModel, called without a server."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))

    def call(signature: str = "serving_default", /, **inputs: Any) -> dict[str, Any]:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = loaded.signatures[signature](**tensors)
        return {name: output.numpy() for name, output in outputs.items()}

    return call


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.server.shutdown()


@pytest.fixture(scope="session")
def traced(
    base_dir: Path, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with noted(base_dir, tmp_path_factory.mktemp("traced"), collector) as server:
        yield server
