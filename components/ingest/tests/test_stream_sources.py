"""Where a stream's photographs come from: a watched folder, or messages; here and on Dataflow."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.ingest.settings import StreamSettings
from components.ingest.stream import stream
from components.ingest.streaming.stream_rows import lines_of_message
from components.ingest.tests.pictures import encoded, gradient
from components.ingest.tests.windows import images, records, rejected, row, windows
from darkroom.beam.options import beam_arguments
from darkroom.errors import SettingsError
from darkroom.records.example_proto import parsed_example

pytestmark = pytest.mark.slow

RunIngest = Callable[..., Any]


def test_a_watched_folder(tmp_path: Path, run_ingest: RunIngest) -> None:
    from apache_beam.utils.timestamp import Timestamp

    from components.ingest.streaming.sources import WatchFolder
    from components.ingest.streaming.windows import build_pipeline

    folder, out = tmp_path / "in", tmp_path / "windows"
    settings = StreamSettings(window=2, poll=0.2)

    def put(number: int, label: str) -> None:
        (folder / label).mkdir(parents=True, exist_ok=True)
        temporary = folder / label / f".{number}"
        temporary.write_bytes(encoded(gradient(number), "PNG"))
        temporary.rename(folder / label / f"{number}.png")

    def drop() -> None:
        for number in range(10, 30):
            time.sleep(0.2)
            put(number, "ab"[number % 2])

    def watch(seconds: float) -> None:
        source = WatchFolder(folder, str(out), settings, Timestamp(time.time() + seconds))
        with build_pipeline(source, str(out), settings, beam_arguments([])):
            pass

    for number in range(10):
        put(number, "ab"[number % 2])
    (folder / "stray.png").write_bytes(b"")
    dropping = threading.Thread(target=drop)
    dropping.start()
    watch(6)
    dropping.join()
    found = windows(out)
    assert len(found) > 1
    # A photograph is in one window, even if it stays where it was dropped.
    names = [name for window in found for name in images(window)]
    assert sorted(names, key=int) == [str(number) for number in range(30)]
    stray = json.dumps({"image": str(folder / "stray.png")})
    assert [r for window in found for r in rejected(window)] == [(stray, "no_label")]
    watch(0.5)
    assert len(windows(out)) == len(found)
    put(30, "a")
    watch(0.5)
    assert len(windows(out)) == len(found) + 1
    # What the batch mode makes of the folder, but for the names it gives the photographs.
    (folder / "stray.png").unlink()
    batch = run_ingest(folder, near_duplicate_distance=-1)
    streamed = [records(window) for window in windows(out)]
    for split, kept in records(batch.examples).items():
        ids = {parsed_example(record)["image_id"][0] for record in kept}
        assert ids == {
            parsed_example(record)["image_id"][0] for w in streamed for record in w[split]
        }


def test_the_command_watches_until_it_is_interrupted(tmp_path: Path) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    command = [sys.executable, "-m", "components.ingest.stream", "--out", str(tmp_path / "out")]
    command += ["--source", str(tmp_path / "in"), "--settings", '{"window": 1, "poll": 0.2}']
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "watching" in line:
                break
        row(tmp_path / "in" / "a", 1, "a")
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out/*/manifest.json")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "stopped" in errors
    (window,) = windows(tmp_path / "out")
    assert images(window) == {"1"}


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("{tmp}/nowhere", "{tmp}/out", "does not exist"),
        ("gs://bucket/photographs", "{tmp}/out", "Pub/Sub"),
        ("{tmp}", "{tmp}/out", "lies in the watched folder"),
    ],
)
def test_what_cannot_be_streamed_is_one_clear_line(
    tmp_path: Path, source: str, out: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        stream(source.format(tmp=tmp_path), out.format(tmp=tmp_path), StreamSettings())


def test_messages_become_rows() -> None:
    settings = StreamSettings(folder="gs://bucket/incoming/")

    def rows(data: bytes, **attributes: str) -> list[Any]:
        return list(lines_of_message(data, attributes, settings))

    def notified(name: str, event: str = "OBJECT_FINALIZE") -> list[Any]:
        found = rows(b"{}", bucketId="bucket", objectId=name, eventType=event)
        return [json.loads(line) for line in found]

    # On several lines, a row is one line all the same; what is no UTF-8 is refused later.
    assert rows(b'{"image":\r\n "a"}') == ['{"image":   "a"}']
    assert rows(b"\xff") == ["\\xff"]
    assert notified("incoming/rose/1.jpg") == [
        {"image": "gs://bucket/incoming/rose/1.jpg", "label": "rose"}
    ]
    assert notified("incoming/1.jpg") == [{"image": "gs://bucket/incoming/1.jpg"}]
    for name in ("elsewhere/rose/1.jpg", "incoming/rose/", "incoming/rose/.1.jpg"):
        assert notified(name) == []
    assert notified("incoming/rose/1.jpg", "OBJECT_DELETE") == []


@pytest.mark.parametrize("kind", ["subscription", "topic"])
def test_the_pipeline_that_dataflow_gets(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # It would ask the bucket, for some minutes.
    from apache_beam.options.pipeline_options import (
        GoogleCloudOptions,
        StandardOptions,
        WorkerOptions,
    )
    from apache_beam.runners.dataflow.internal.apiclient import get_container_image_from_options

    from components.ingest.streaming.sources import ReadMessages
    from components.ingest.streaming.windows import build_pipeline

    asks = "_warn_if_soft_delete_policy_enabled"
    monkeypatch.setattr(GoogleCloudOptions, asks, lambda *_: None)
    image = "europe-docker.pkg.dev/my-project/darkroom/darkroom-ingest:0.1.0"
    given = ["--runner", "DataflowRunner", "--project=my-project", "--region=europe-west4"]
    given += [f"--sdk_container_image={image}", "--temp_location=gs://bucket/tmp", "--streaming"]
    source = ReadMessages(f"projects/my-project/{kind}s/photographs", StreamSettings())
    pipeline = build_pipeline(
        source, "gs://bucket/windows", StreamSettings(), beam_arguments(given)
    )
    options = pipeline.options
    assert options.view_as(StandardOptions).streaming
    assert options.view_as(StandardOptions).runner == "DataflowRunner"
    assert options.view_as(GoogleCloudOptions).temp_location == "gs://bucket/tmp"
    assert options.view_as(WorkerOptions).sdk_container_image == image
    assert get_container_image_from_options(options) == image
    graph = pipeline.to_runner_api()
    (read,) = [
        t
        for t in graph.components.transforms.values()
        if t.spec.urn == "beam:transform:pubsub_read:v1"
    ]
    assert f"projects/my-project/{kind}s/photographs".encode() in read.spec.payload
