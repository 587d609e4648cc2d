"""Samples of answers: what is in them, by every door, and that answers never wait for them."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.serve.samples import SampledCalls, Samples
from components.serve.settings import SampleSettings
from components.serve.telemetry import line_writer
from components.serve.tests.server_process import free_port, start_server
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import predict, request
from darkroom.artifacts.samples import FILE
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow


def lines(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob(f"{FILE}*"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


class Answering:
    """Calls that give the same answer to each photograph."""

    def call(self, _: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        count = len(inputs["image_bytes"])
        return {
            "label": np.array([b"rose"] * count, object),
            "probabilities": np.tile(np.array([0.25, 0.75], np.float32), (count, 1)),
            "key": np.array([b"k%d" % number for number in range(count)], object),
        }


def ask(samples: Samples, count: int) -> None:
    images = np.array([b"image %d" % number for number in range(count)], object)
    SampledCalls(Answering(), samples, 7).call(None, {"image_bytes": images})


def test_a_sample_says_what_was_asked_and_answered(tmp_path: Path) -> None:
    samples = Samples(SampleSettings(folder=str(tmp_path / "kept"), rate=1), "flowers")
    ask(samples, 3)
    samples.close()
    found = lines(tmp_path / "kept" / "flowers")
    assert [each["key"] for each in found] == ["k0", "k1", "k2"]
    first = found[0]
    assert first["image_id"] == hashlib.sha256(b"image 0").hexdigest()
    assert (first["model"], first["version"], first["label"]) == ("flowers", 7, "rose")
    assert first["probabilities"] == [0.25, 0.75]
    assert first["time"].endswith("+00:00")
    assert "image" not in first


def test_the_share_is_kept_and_files_rotate(tmp_path: Path) -> None:
    settings = SampleSettings(folder=str(tmp_path), rate=0.2, file_mb=1, files=2, images=True)
    samples = Samples(settings, "flowers")
    samples._random.seed(5)
    ask(samples, 9000)
    samples.close()
    assert 1600 < len(lines(tmp_path / "flowers")) < 2000
    for _ in range(3):
        samples = Samples(settings, "flowers")
        ask(samples, 20_000)
        samples.close()
    assert sorted(path.name for path in (tmp_path / "flowers").iterdir()) == [FILE, f"{FILE}.1"]
    assert all(path.stat().st_size <= 2**20 for path in (tmp_path / "flowers").iterdir())


def test_answers_do_not_wait_for_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(line_writer, "_WAITING", 10)
    samples = Samples(SampleSettings(folder=str(tmp_path), rate=1), "flowers")
    samples._writer._listener.stop()
    ask(samples, 50)
    assert samples._writer._left_out >= 39
    assert caplog.messages[0] == "1 samples left out: they are not written in time"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        SettingsError, match=r"sample\.folder .*file/samples/flowers: Not a directory"
    ):
        Samples(SampleSettings(folder=str(tmp_path / "file" / "samples")), "flowers")


def test_every_door_is_sampled(model: Path, tmp_path: Path) -> None:
    images = [photograph(seed) for seed in range(3)]
    grpc_port = free_port()
    settings = json.dumps({"sample": {"folder": str(tmp_path / "kept"), "rate": 1}})
    options = ["--name", "flowers", "--grpc-port", str(grpc_port), "--settings", settings]
    server = start_server(model, "flowers", tmp_path / "log", *options)
    server.grpc_port = grpc_port
    try:
        server.wait_until(server.serving)
        answer = server.predict({"instances": [b64(images[0]), b64(images[1])]}).json()
        predict(server, request("flowers", image_bytes=[images[2]]))
    finally:
        server.process.terminate()
        server.process.wait(30)
    found = lines(tmp_path / "kept" / "flowers")
    assert [each["image_id"] for each in found] == [
        hashlib.sha256(image).hexdigest() for image in images
    ]
    given = [row["probabilities"] for row in answer["predictions"]]
    assert np.allclose([each["probabilities"] for each in found[:2]], given, atol=1e-6)
    assert {each["version"] for each in found} == {1}


def test_lines_that_cannot_be_written_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with Path(os.devnull).open() as unwritable:
        writer = line_writer.LineWriter(logging.StreamHandler(unwritable), "access log lines")
        for number in range(3):
            writer.put(str(number))
        writer.close()
    assert caplog.messages == ["access log lines are lost, they cannot be written: not writable"]
