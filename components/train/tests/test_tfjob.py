"""A training on several machines: the step against a Kubernetes API that speaks HTTP."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent.parent
JOBS = "/apis/kubeflow.org/v1/namespaces/vision/tfjobs"
PODS = "/api/v1/namespaces/vision/pods"


class Cluster(ThreadingHTTPServer):
    """Holds one TFJob and acts as its operator: each read moves it to its next state.

    Attributes:
        refused: Answer to a creation, instead of taking it.
        busy: Looks that are answered with 503.
        fails: Whether the workers fail.
        never_ends: Whether the job never ends, and listing its pods blocks until `go_on` is set.
        listing: Set when such a list was asked for.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.created: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        self.looks = 0
        self.refused: tuple[int, str] | None = None
        self.busy = 0
        self.fails = False
        self.never_ends = False
        self.listing, self.go_on = threading.Event(), threading.Event()

    def status(self) -> dict[str, Any]:
        self.looks += 1
        if self.looks < 3 or self.never_ends:
            return {"replicaStatuses": {"Chief": {"active": 1}, "Worker": {"active": 2}}}
        if self.fails:
            return condition("Failed", "TFJob x has failed because 1 Chief replica(s) failed.")
        self.train()
        return condition("Succeeded", "")

    def train(self) -> None:
        """Writes the workers' outputs to the folders in their arguments."""
        for kind in self.created[0]["spec"]["tfReplicaSpecs"].values():
            (container,) = kind["template"]["spec"]["containers"]
            options = dict(part.removeprefix("--").split("=", 1) for part in container["args"])
        assert (Path(options["transformed-examples"]) / "train-0.tfrecord").is_file()
        assert (Path(options["transform-graph"]) / "manifest.json").is_file()
        assert json.loads(options["settings"])["epochs"] == 3
        for name in ("model", "checkpoints"):
            Path(options[name]).mkdir()
            (Path(options[name]) / "made").write_text(name)


def condition(kind: str, message: str) -> dict[str, Any]:
    old = {"type": "Created", "status": "True", "message": "created"}
    return {"conditions": [old, {"type": kind, "status": "True", "message": message}]}


class Handler(BaseHTTPRequestHandler):
    server: Cluster

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, code: int, document: Any) -> None:
        text = isinstance(document, str)
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if text else "application/json")
        self.end_headers()
        self.wfile.write((document if text else json.dumps(document)).encode())

    def refuse(self, code: int, message: str) -> None:
        self.answer(code, {"kind": "Status", "code": code, "message": message})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Authorization"] == "Bearer token-of-the-step"
        if self.server.refused:
            self.refuse(*self.server.refused)
        elif self.path != JOBS:
            self.refuse(404, f"no {self.path}")
        else:
            self.server.created.append(body)
            self.answer(201, body)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(f"{JOBS}/") and self.server.busy:
            self.server.busy -= 1
            self.refuse(503, "etcd is busy")
        elif path.startswith(f"{JOBS}/"):
            self.answer(200, self.server.created[0] | {"status": self.server.status()})
        elif path == PODS and self.server.never_ends:
            self.server.listing.set()
            self.server.go_on.wait(60)
            self.answer(200, {"items": []})
        elif path == PODS:
            failed = {"metadata": {"name": "x-chief-0"}, "status": {"phase": "Failed"}}
            self.answer(200, {"items": [failed]})
        elif path == f"{PODS}/x-chief-0/log":
            self.answer(200, "epoch 1\nloss is not a number\n")
        elif path == f"{PODS}/step-pod":
            self.answer(200, {"metadata": {"name": "step-pod", "uid": "4711"}})
        else:
            self.refuse(404, f"no {path}")

    def do_DELETE(self) -> None:
        self.server.deleted.append(self.path.partition("?")[0].removeprefix(f"{JOBS}/"))
        self.answer(200, {"kind": "Status", "status": "Success"})


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    server = Cluster()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


MANIFEST = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "TFJob",
    "metadata": {"generateName": "darkroom-train-"},
    "spec": {
        "tfReplicaSpecs": {
            kind: {
                "replicas": replicas,  # as a pipeline's parameters have whole numbers
                "template": {"spec": {"containers": [{"name": "tensorflow", "image": "i"}]}},
            }
            for kind, replicas in (("Chief", 1.0), ("Worker", 2.0))
        }
    },
}


def start(cluster: Cluster, folder: Path) -> subprocess.Popen[str]:
    """Starts the step in a subprocess, as a pod would."""
    for name, file in (("records", "train-0.tfrecord"), ("graph", "manifest.json")):
        (folder / name).mkdir()
        (folder / name / file).write_text("{}")
    kubeconfig = folder / "kubeconfig"
    entries = {
        "clusters": {"cluster": {"server": f"http://127.0.0.1:{cluster.server_port}"}},
        "users": {"user": {"token": "token-of-the-step"}},
        "contexts": {"context": {"cluster": "c", "user": "c", "namespace": "vision"}},
    }
    lists = {kind: [{"name": "c", **entry}] for kind, entry in entries.items()}
    kubeconfig.write_text(yaml.safe_dump({"current-context": "c", **lists}))
    job = {"manifest": MANIFEST, "shared_folder": str(folder / "shared"), "interval": 0.05}
    arguments = {
        "transformed_examples": str(folder / "records"),
        "transform_graph": str(folder / "graph"),
        "settings": {"epochs": 3},
        "job": job,
        "model": str(folder / "model"),
        "checkpoints": str(folder / "checkpoints"),
    }
    code = (
        "import json, sys\n"
        "from darkroom.runtime.run_step import run_step\n"
        "from components.train.tfjob.train import train\n"
        "run_step(train, **json.loads(sys.argv[1]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(arguments)],
        env=os.environ | {"KUBECONFIG": str(kubeconfig), "HOSTNAME": "step-pod"},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, error = process.communicate(timeout=60)
    return process.returncode, error


def test_the_step_gives_what_the_workers_made(cluster: Cluster, tmp_path: Path) -> None:
    cluster.busy = 2
    code, error = finish(start(cluster, tmp_path))
    assert (code, error.count("Traceback")) == (0, 0), error
    assert (tmp_path / "model" / "made").read_text() == "model"
    assert (tmp_path / "checkpoints" / "made").read_text() == "checkpoints"
    assert not list((tmp_path / "shared").iterdir()), "what was shared is removed"
    (job,) = cluster.created
    assert re.fullmatch(r"darkroom-train-[0-9a-f]{8}", job["metadata"]["name"])
    assert job["metadata"]["ownerReferences"][0]["uid"] == "4711"
    assert '"replicas": 2,' in json.dumps(job)
    assert cluster.deleted == [job["metadata"]["name"]]
    assert "the Kubernetes API does not answer" in error
    assert "chief active 1; worker active 2" in error


def test_a_failed_job_fails_the_step_with_its_workers_last_lines(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.fails = True
    code, error = finish(start(cluster, tmp_path))
    assert code == 1
    assert "x-chief-0: loss is not a number" in error
    assert "error: the TFJob failed: TFJob x has failed because 1 Chief" in error.splitlines()[-1]
    assert not (tmp_path / "model").exists()
    assert len(cluster.deleted) == 1


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (403, "tfjobs is forbidden", "needs the verb create (and create, get, delete) on tfjobs"),
        (404, "not found", "install the Kubeflow Training Operator"),
        (422, "spec is invalid", "cannot create the TFJob: spec is invalid"),
        (503, "etcd is busy", "the Kubernetes API does not answer"),
    ],
)
def test_a_refused_job_is_one_line(
    cluster: Cluster, tmp_path: Path, code: int, message: str, says: str
) -> None:
    cluster.refused = (code, message)
    returned, error = finish(start(cluster, tmp_path))
    assert returned == 1
    (line,) = error.splitlines()
    assert says in line


def test_a_cancelled_run_leaves_no_job(cluster: Cluster, tmp_path: Path) -> None:
    cluster.never_ends = True
    process = start(cluster, tmp_path)
    # In the midst of a call whose refusal the step would pass over.
    assert cluster.listing.wait(60)
    process.terminate()
    code, error = finish(process)
    cluster.go_on.set()
    assert code == 1
    assert "cancelled" in error.splitlines()[-1]
    assert cluster.deleted == [cluster.created[0]["metadata"]["name"]]
    assert not list((tmp_path / "shared").iterdir())
