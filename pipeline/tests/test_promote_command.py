"""`darkroom promote --if-better` beside a model server that shares requests with a canary."""

import base64
import concurrent.futures
import contextlib
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from components.push.push import push
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.tests.conftest import (
    Candidate,
    save_evaluation,
    save_examples,
    save_model,
)
from components.push.verify import verify_server
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow

PHOTOGRAPHS = 900
KEY = "a key of this test"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}


def darkroom(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli.main", *map(str, arguments)]
    environment = os.environ | {"DARKROOM_API_KEY": KEY}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def photographs() -> list[bytes]:
    greys = np.random.default_rng(0).integers(0, 256, (PHOTOGRAPHS, 4, 4), np.uint8)
    images = [io.BytesIO() for _ in greys]
    for image, grey in zip(images, greys, strict=True):
        Image.fromarray(grey).save(image, "png")
    return [image.getvalue() for image in images]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that serves, and a canary beside it, which is as good."""
    folder = tmp_path_factory.mktemp("promote")
    save_examples(folder / "examples")
    for number, sharpness in enumerate((4.0, 5.0), 1):
        made = Candidate(folder / "examples", folder / f"model{number}", folder / f"eval{number}")
        save_model(made.model, sharpness=sharpness)
        save_evaluation(made.evaluation, made.model, made.examples)
        settings = PushSettings(
            destination=str(folder / "served"), try_server=False, traffic=100 if number == 1 else 50
        )
        push(*made.inputs, settings, pushed=folder / f"pushed{number}")
    return folder / "served"


@pytest.fixture(scope="module")
def server(served: Path) -> Iterator[str]:
    """The model's address at a server that wants a key; its gRPC port is the next one."""
    port = free_ports()
    keys = served.parent / "keys.txt"
    keys.write_text(f"{KEY}\n")
    settings = {
        "sample": {"folder": str(served.parent / "samples"), "rate": 1.0},
        "api_keys": str(keys),
        "grpc_port": port + 1,
    }
    command = [sys.executable, "-m", "components.serve", str(served), "--name", "greys"]
    options = ["--port", str(port), "--settings", json.dumps(settings), "--poll-seconds", "0.5"]
    process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/v1/models/greys"
    try:
        deadline = time.monotonic() + 90
        while states(address) != ["AVAILABLE"] * 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def free_ports() -> int:
    """A port that is free, as the next one is."""
    while True:
        with socket.socket() as probe, socket.socket() as other:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 1))
                return port


def states(address: str) -> list[str]:
    try:
        found = httpx.get(address, headers=WITH_KEY).json()["model_version_status"]
    except httpx.HTTPError:
        return []
    return [each["state"] for each in found]


def ask(address: str) -> list[str]:
    """Asks for all photographs; their digests."""
    images = photographs()
    with (
        httpx.Client(headers=WITH_KEY) as client,
        concurrent.futures.ThreadPoolExecutor(4) as threads,
    ):

        def one(image: bytes) -> None:
            instance = {"b64": base64.b64encode(image).decode()}
            client.post(f"{address}:predict", json={"instances": [instance]}).raise_for_status()

        list(threads.map(one, images))
    return [hashlib.sha256(image).hexdigest() for image in images]


def test_the_key_is_sent_through_every_door(
    served: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.split(":")[2].split("/")[0])
    doors = (server, server.replace("/v1/", "/v2/"), f"grpc://127.0.0.1:{port + 1}/greys")
    for address in doors:
        monkeypatch.delenv("DARKROOM_API_KEY", raising=False)
        with pytest.raises(SettingsError, match="wants a key that it knows: set DARKROOM_API_KEY"):
            verify_server(address, str(served / "1"))
        monkeypatch.setenv("DARKROOM_API_KEY", KEY)
        answers = verify_server(address, str(served))
        assert all(comparison.agrees for comparison in answers)


def test_a_canary_is_promoted_once_there_is_evidence(served: Path, server: str) -> None:
    better = ("promote", served, "--if-better", "--server", server)
    early = darkroom(*better)
    assert early.returncode == os.EX_TEMPFAIL, early.stderr
    *checks, last = early.stdout.splitlines()
    assert [line.partition(":")[0] for line in checks] == ["proof", "errors", "latency"]
    assert checks[0].endswith(": passes")
    assert last == ("not decided yet: errors and latency; the canary keeps its share, ask again")
    assert target_for(str(served)).traffic() == {1: 50, 2: 50}

    labels = served.parent / "labels.csv"
    names = ask(server)
    labels.write_text("image_id,label\n" + "".join(f"{name},light\n" for name in names))
    limits = ("error_increase=0.05", "slowdown=20", "accuracy_loss=0.4")
    options = [text for limit in limits for text in ("--limit", limit)]
    measured = ("--samples", served.parent / "samples", "--labels", labels)
    late = darkroom(*better, *measured, *options)
    assert late.returncode == 0, late.stdout + late.stderr
    lines = late.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == [
        *("proof", "errors", "latency", "quality")
    ]
    assert all(line.endswith(": passes") for line in lines[:4])
    assert lines[4] == "version 2 serves"
    assert target_for(str(served)).log()[-1].reason == "; ".join(lines[:4])
    again = darkroom(*better)
    assert (again.returncode, again.stdout) == (0, f"{served} has no canary: nothing to decide\n")


def test_a_canary_that_gives_other_answers_is_taken_back(served: Path, server: str) -> None:
    target = target_for(str(served))
    target.rollback(to=1)
    target.rollback(to=2)
    folder = served.parent
    third = Candidate(folder / "examples", folder / "model3", folder / "eval3")
    save_model(third.model, sharpness=6.0)
    save_evaluation(third.evaluation, third.model, third.examples)
    settings = PushSettings(destination=str(served), try_server=False, traffic=50)
    push(*third.inputs, settings, pushed=folder / "pushed3")
    better = ("promote", served, "--if-better", "--server", server)
    deadline = time.monotonic() + 60
    while '"3"' not in httpx.get(server, headers=WITH_KEY).text:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    answers = served / ".canary-3" / "proof" / "answers.json"
    values = json.loads(answers.read_text())
    values["photographs"][5]["probabilities"] = [0.5, 0.5]
    answers.write_text(json.dumps(values))
    found = darkroom(*better)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "proof: REST http" in found.stdout
    assert "photograph id-5 (at most 1e-05): fails" in found.stdout
    assert "version 3 rolled back; version 2 serves" in found.stdout
    assert "version 3 was taken back: proof" in found.stderr
    assert (target.canary(), target.traffic()) == (None, {2: 100})


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    for arguments in (
        ("--if-better",),
        ("--server", "http://127.0.0.1:9/v1/models/a"),
        ("--if-better", "--server", "http://127.0.0.1:9/v1/models/a", "--limit", "speed=3"),
    ):
        found = darkroom("promote", tmp_path, *arguments)
        assert (found.returncode, found.stdout) == (2, "")
        assert len(found.stderr.splitlines()) == 1, found.stderr
