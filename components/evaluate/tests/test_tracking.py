"""An evaluation becomes a run of MLflow, in requests that MLflow's own messages take."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict

from components.evaluate.sections import MlflowSettings
from components.evaluate.settings import EvaluateSettings
from components.evaluate.tests.small_artifacts import (
    png,
    run_evaluate,
    write_examples,
    write_model,
)
from components.evaluate.tracking import check_client, log_run
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow

API = "/api/2.0/mlflow/"
RUN: dict[str, Any] = {
    "info": {
        "run_id": "r1",
        "run_uuid": "r1",
        "experiment_id": "7",
        "status": "RUNNING",
        "artifact_uri": "mlflow-artifacts:/7/r1/artifacts",
    },
    "data": {},
}


class Server(http.server.ThreadingHTTPServer):
    """A fake of MLflow's server: it checks requests, and keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[tuple[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.refuses = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith(f"{API}experiments/get-by-name"):
            missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"}
            self._answer(404, missing)
        else:
            assert self.path.startswith(f"{API}runs/get?")
            self._answer(200, {"run": RUN})

    def do_POST(self) -> None:
        from mlflow.protos import service_pb2

        messages: dict[str, Any] = {
            "experiments/create": service_pb2.CreateExperiment,
            "runs/create": service_pb2.CreateRun,
            "runs/log-batch": service_pb2.LogBatch,
            "runs/update": service_pb2.UpdateRun,
        }
        name = self.path.removeprefix(API)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refuses:
            self._answer(403, {"error_code": "PERMISSION_DENIED", "message": "not you\nat all"})
            return
        message = ParseDict(body, messages[name]())
        self.server.taken.append((name, message))
        answers = {
            "experiments/create": {"experiment_id": "7"},
            "runs/create": {"run": RUN},
            "runs/update": {"run_info": RUN["info"]},
        }
        self._answer(200, answers.get(name, {}))

    def do_PUT(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.files[name] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, {})

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    threading.Thread(target=started.serve_forever, daemon=True).start()
    yield started
    started.shutdown()
    started.server_close()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tracked")
    rows = [
        {
            "image_bytes": png(np.full((4, 4, 3), 255 * (number % 2), np.uint8)),
            "image_path": f"{number}.png",
            "label": ("dark", "lit")[number % 2],
        }
        for number in range(12)
    ]
    examples = write_examples(folder / "examples", rows, {})
    weights = np.tile(np.array([[-1.0, 1.0]], np.float32), (16, 1))
    epochs = [
        {"epoch": 1, "phase": "scratch", "loss": 0.9, "accuracy": 0.5, "val_loss": 0.8}
        | {"val_accuracy": 0.6, "learning_rate": 0.1, "seconds": 1.0}
    ]
    history = {"epochs": epochs, "best_epoch": 1}
    bias = np.array([8.0, -8.0], np.float32)
    return examples, write_model(folder / "model", ("dark", "lit"), weights, bias, history)


def evaluated(artifacts: tuple[Path, Path], folder: Path, address: str) -> str:
    settings = {"mlflow": {"tracking_uri": address, "experiment": "flowers"}}
    verdict, *_ = run_evaluate(*artifacts, settings, folder)
    return verdict


def test_a_run_has_metrics_curves_settings_and_report(
    artifacts: tuple[Path, Path], server: Server, tmp_path: Path
) -> None:
    assert evaluated(artifacts, tmp_path, server.address) == "blessed"
    names = [name for name, _ in server.taken]
    assert names[:2] == ["experiments/create", "runs/create"]
    assert names[-1] == "runs/update"
    assert server.taken[0][1].name == "flowers"
    batches = [message for name, message in server.taken if name == "runs/log-batch"]
    metrics = {metric.key: metric.value for batch in batches for metric in batch.metrics}
    assert metrics["test_accuracy"] == 1.0
    assert (metrics["loss"], metrics["val_accuracy"]) == (0.9, 0.6)
    parameters = {one.key: one.value for batch in batches for one in batch.params}
    assert parameters["evaluate.baseline"] == "serving"
    tags = {tag.key: tag.value for batch in batches for tag in batch.tags}
    assert tags["blessed"] == "true"
    assert b"<!doctype html>" in server.files["report.html"]
    assert b"model-index" in server.files["model_card.md"]


def test_a_server_that_refuses_or_is_not_there_costs_a_warning(
    artifacts: tuple[Path, Path],
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.refuses = True
    assert evaluated(artifacts, tmp_path / "refused", server.address) == "blessed"
    assert f"not logged to MLflow at {server.address}: " in caplog.text
    assert "not you" in caplog.text
    caplog.clear()
    settings = MlflowSettings(tracking_uri="http://127.0.0.1:9")
    assert log_run(settings, artifacts[1], tmp_path / "refused" / "evaluation", tmp_path) is None
    assert "not logged to MLflow at http://127.0.0.1:9" in caplog.text


def test_no_secret_comes_into_reports() -> None:
    with pytest.raises(SettingsError, match="leave user and password out of the address"):
        validate_settings(
            EvaluateSettings, {"mlflow": {"tracking_uri": "https://ann:secret@mlflow.example.com"}}
        )


def test_without_the_client_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    check_client(None)
    check_client(MlflowSettings(tracking_uri="http://127.0.0.1:9"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"uv sync --group evaluate-mlflow"):
        check_client(MlflowSettings(tracking_uri="http://127.0.0.1:9"))
