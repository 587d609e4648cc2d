"""What a server refuses by gRPC: a quota is waited for, and a request that is too large halved."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse
from tensorflow_serving.apis.model_service_pb2_grpc import (
    ModelServiceServicer,
    add_ModelServiceServicer_to_server,
)
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

from components.predict.predict import predict
from components.predict.settings import PredictSettings
from components.predict.tests.small_model import LABELS, write_photographs
from darkroom.artifacts.batch_predictions import BatchPredictions, read_batch_predictions
from darkroom.artifacts.rejected import read_rejections

pytestmark = pytest.mark.slow

_LARGEST = 10_000
"""Bytes of a message that the server takes."""


class Refusing(ModelServiceServicer, PredictionServiceServicer):
    """Answers as TF Serving does, after what it was told to say first.

    Attributes:
        refusals: What it says to the next photographs, each with RESOURCE_EXHAUSTED.
        asked: Photographs of each request.
    """

    def __init__(self) -> None:
        self.refusals: list[str] = []
        self.asked: list[int] = []

    def GetModelStatus(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        answer = GetModelStatusResponse()
        answer.model_version_status.add(version=5, state=30)
        return answer

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        count = request.inputs["image_bytes"].tensor_shape.dim[0].size
        if count > 1:  # no probe
            self.asked.append(count)
            if self.refusals:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, self.refusals.pop(0))
        answer = PredictResponse()
        for name, row in {
            "label": LABELS[0],
            "label_index": np.int64(0),
            "probability": np.float32(0.75),
            "probabilities": np.array([0.75, 0.25], np.float32),
        }.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(np.array([row] * count)))
        return answer


@pytest.fixture
def refusing() -> Iterator[tuple[Refusing, str]]:
    servicer = Refusing()
    options = [("grpc.max_receive_message_length", _LARGEST)]
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    add_ModelServiceServicer_to_server(servicer, server)
    add_PredictionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield servicer, f"grpc://127.0.0.1:{port}/small"
    finally:
        server.stop(None).wait()


def run(out: Path, model: str, data: Path, **settings: Any) -> BatchPredictions:
    values = {"data": str(data), "model": model, "parallel_requests": 1, **settings}
    predict(PredictSettings.model_validate(values), predictions=out)
    return read_batch_predictions(out)


@pytest.mark.parametrize(
    "refusal",
    [
        "Quota exceeded for quota metric 'Predictions' of service 'ml.googleapis.com'.",
        "Resource has been exhausted (e.g. check quota).",
        "the server is busy: try again in a second",
        "OOM when allocating tensor with shape[64,96,80,80] on GPU:0",
    ],
)
def test_a_quota_is_waited_for(
    refusing: tuple[Refusing, str], tmp_path: Path, refusal: str
) -> None:
    servicer, address = refusing
    files = write_photographs(tmp_path / "in", 4)
    servicer.refusals = [refusal] * 2
    found = run(tmp_path / "out", address, tmp_path / "in")
    assert found.table()["image"].to_pylist() == list(map(str, files))
    assert servicer.asked == [4, 4, 4]


@pytest.mark.parametrize(
    "refusal",
    [
        "grpc: received message larger than max (5000000 vs. 4194304)",
        "gRPC message exceeds maximum size 4194304: 5000000",
        "64 instances, and 32 at most are answered at once: send several requests",
        "the photographs have more than 1,000 pixels: send smaller ones or fewer",
    ],
)
def test_what_is_too_large_is_halved(
    refusing: tuple[Refusing, str], tmp_path: Path, refusal: str
) -> None:
    servicer, address = refusing
    write_photographs(tmp_path / "in", 4)
    servicer.refusals = [refusal]
    found = run(tmp_path / "out", address, tmp_path / "in")
    assert found.rows == 4
    assert servicer.asked == [4, 2, 2]


def test_one_that_is_too_large_alone_is_rejected_for_that(
    refusing: tuple[Refusing, str], tmp_path: Path
) -> None:
    _, address = refusing
    files = write_photographs(tmp_path / "in", 5)
    padding = b"\xff\xfe\xff\xf0" + bytes(0xFFF0 - 2)  # a comment of the JPEG's
    files[2].write_bytes(files[2].read_bytes()[:2] + padding + files[2].read_bytes()[2:])
    found = run(tmp_path / "out", address, tmp_path / "in")
    assert found.rows == 4
    (rejection,) = read_rejections(tmp_path / "out" / "rejected.jsonl")
    assert (rejection.row["image"], rejection.reason) == (str(files[2]), "unsupported")
    assert rejection.detail.startswith("too large for the model: ")
    assert "larger than max" in rejection.detail
