"""The streaming mode: windows of arriving photographs, each as the batch mode would write it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.dataflow.internal.apiclient import get_container_image_from_options
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from components.artifacts.beam_options import beam_arguments
from components.artifacts.errors import SettingsError
from components.artifacts.example_proto import parsed_example
from components.artifacts.examples import SPLITS, Examples, read_examples
from components.artifacts.tfrecord import read_records
from components.artifacts.worker_errors import worker_message
from components.ingest.arrivals import lines_of_message
from components.ingest.assembly import chunks_of
from components.ingest.chunk import Chunk
from components.ingest.stream import stream
from components.ingest.stream_settings import StreamSettings
from components.ingest.stream_sources import ReadMessages, WatchFolder
from components.ingest.streaming import Finish, WriteWindows, build_pipeline
from components.ingest.tests.bucket import Bucket
from components.ingest.tests.pictures import encoded, gradient
from components.ingest.window_folder import WindowFolder

RunIngest = Callable[..., Any]
SETTINGS = StreamSettings(window=10, poll=0.2)
STREAMED = ["--runner=apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"]
STREAMED += ["--streaming"]


def row(folder: Path, number: int, label: str, **columns: object) -> str:
    """Writes a photograph, and gives the message that announces it."""
    path = folder / f"{number}.png"
    path.write_bytes(encoded(gradient(number), "PNG"))
    return json.dumps({"image": str(path), "label": label, **columns})


def run_stream(arrivals: TestStream, out: Path | str, settings: StreamSettings = SETTINGS) -> None:
    with beam.Pipeline(options=PipelineOptions(STREAMED)) as pipeline:
        _ = pipeline | arrivals | WriteWindows(str(out), settings)


def at(seconds: float, lines: Sequence[str]) -> list[TimestampedValue]:
    return [TimestampedValue(line, seconds) for line in lines]


def one_window(lines: Sequence[str]) -> TestStream:
    """All lines in the window that starts at 0."""
    stream = TestStream().advance_watermark_to(0).add_elements(at(1, lines))
    return stream.advance_watermark_to(20).advance_watermark_to_infinity()


def windows(out: Path) -> list[Examples]:
    return [read_examples(folder) for folder in sorted(out.iterdir())]


def start_of(window: Examples) -> str:
    return window.folder.name.partition("-")[0]


def records(examples: Examples) -> dict[str, list[bytes]]:
    return {
        split: [record for shard in examples.shards(split) for record in read_records(shard)]
        for split in SPLITS
    }


def rejected(window: Examples) -> list[tuple[str, str]]:
    """Image (or text, where a row has none) and reason."""
    lines = (window.folder / "rejected.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [(r["row"].get("image") or r["row"]["text"], r["reason"]) for r in rows]


def images(window: Examples) -> set[str]:
    every = [parsed_example(record) for group in records(window).values() for record in group]
    return {Path(example["image_path"][0].decode()).stem for example in every}


def test_each_window_is_what_the_batch_mode_writes(tmp_path: Path, run_ingest: RunIngest) -> None:
    lines = [row(tmp_path, n, "ab"[n % 2], age=n if n < 60 else n / 2) for n in range(120)]
    arrivals = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements(at(9, reversed(lines[:30])))
        .add_elements(at(12, lines[60:90]))
        .add_elements(at(1, lines[30:60]))
        .advance_watermark_to(10)
        .add_elements(at(19.9, lines[90:]))
        .advance_watermark_to_infinity()
    )
    run_stream(arrivals, tmp_path / "windows")
    found = windows(tmp_path / "windows")
    assert [start_of(window) for window in found] == ["19700101T000000Z", "19700101T000010Z"]
    assert [window.columns for window in found] == [{"age": "int"}, {"age": "float"}]
    for number, window in enumerate(found):
        batch = run_ingest(window.folder / "rows.jsonl", f"batch {number}").examples
        for split in SPLITS:
            one, other = window.shards(split), batch.shards(split)
            assert [s.name for s in one] == [s.name for s in other]
            assert [s.read_bytes() for s in one] == [s.read_bytes() for s in other]
        assert window.manifest == batch.manifest
        assert (window.folder / "index.json").read_text() == (
            batch.folder / "index.json"
        ).read_text()


def test_what_comes_late_has_a_folder_of_its_own(tmp_path: Path) -> None:
    lines = [row(tmp_path, n, "ab"[n % 2]) for n in range(4)]
    arrivals = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements(at(5, lines[:2]))
        .advance_watermark_to(60)
        .add_elements(at(5, lines[2:]))
        .advance_processing_time(11)
        .advance_watermark_to_infinity()
    )
    run_stream(arrivals, tmp_path / "windows")
    found = windows(tmp_path / "windows")
    assert [start_of(window) for window in found] == ["19700101T000000Z"] * 2
    assert sorted(map(images, found), key=min) == [{"0", "1"}, {"2", "3"}]


def test_every_row_of_a_window_is_accounted_for(tmp_path: Path) -> None:
    lines = [row(tmp_path, n, "ab"[n % 2]) for n in range(6)]
    (tmp_path / "1.png").write_bytes(b"hello\n")
    (tmp_path / "2.png").write_bytes((tmp_path / "0.png").read_bytes())
    lines += [lines[0], "not JSON", " "]
    lines += [row(tmp_path, 6, "a", width=7), json.dumps({"image": "/nowhere.png", "label": "a"})]
    run_stream(one_window(lines), tmp_path / "windows")
    (window,) = windows(tmp_path / "windows")
    # The message that came twice is one row; a copy under another name is a duplicate.
    assert images(window) == {"0", "3", "4", "5"}
    assert {(Path(image).name, reason) for image, reason in rejected(window)} == {
        ("1.png", "not_an_image"),
        ("2.png", "duplicate"),
        ("nowhere.png", "missing_file"),
        ("not JSON", "malformed_row"),
        (" ", "malformed_row"),
        (Path(lines[-2]).name, "malformed_row"),
    }
    assert sum(window.manifest["rejected"].values()) == 6
    assert sum(window.counts.values()) == 4


def test_a_window_without_a_good_row_ends_too(tmp_path: Path) -> None:
    run_stream(one_window(["not JSON"]), tmp_path / "windows")
    (window,) = windows(tmp_path / "windows")
    assert window.counts == dict.fromkeys(SPLITS, 0)
    assert rejected(window) == [("not JSON", "malformed_row")]


def test_many_chunks_make_one_window(
    tmp_path: Path, run_ingest: RunIngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.ingest.assembly.ROWS_A_CHUNK", 16)
    lines = [row(tmp_path, n, "ab"[n % 2]) for n in range(70)]
    run_stream(one_window(lines), tmp_path / "windows")
    (window,) = windows(tmp_path / "windows")
    assert len(window.shards("train")) == 5
    batch = run_ingest(window.folder / "rows.jsonl").examples
    assert records(window) == records(batch)


def test_a_window_ends_with_the_last_of_its_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often the others are told of."""
    monkeypatch.setattr("components.ingest.assembly.ROWS_A_CHUNK", 2)
    folder = WindowFolder(str(tmp_path / "windows"), "window", SETTINGS.ingest)
    rows = folder.begin([row(tmp_path, n, "ab"[n % 2]) for n in range(6)]).rows
    chunks = chunks_of(rows, SETTINGS.ingest)

    def tell(*written: Chunk) -> None:
        told = [(folder.name, (chunk.number, chunk.total)) for chunk in written]
        arrivals = TestStream().add_elements(told).advance_watermark_to_infinity()
        with beam.Pipeline(options=PipelineOptions(STREAMED)) as pipeline:
            _ = pipeline | arrivals | beam.ParDo(Finish(folder.out, SETTINGS))

    for chunk in chunks:
        folder.write(chunk)
    tell(chunks[0], chunks[1], chunks[1])
    assert not folder.is_whole()
    tell(chunks[2], chunks[0], chunks[0], chunks[1])
    assert folder.is_whole()


def test_a_window_that_stands_is_not_written_again(tmp_path: Path) -> None:
    lines = [row(tmp_path, n, "ab"[n % 2]) for n in range(4)]
    out = tmp_path / "windows"
    run_stream(one_window(lines), out)
    (before,) = windows(out)
    state = (before.folder / "manifest.json").stat().st_mtime_ns
    run_stream(one_window(lines), out)
    (after,) = windows(out)
    assert (after.folder / "manifest.json").stat().st_mtime_ns == state


def test_windows_go_on_to_the_batch_mode(tmp_path: Path, run_ingest: RunIngest) -> None:
    """All windows together, by a glob: the batch run settles what lies in several of them."""
    lines = [row(tmp_path, n, "ab"[n % 2]) for n in range(120)]
    (tmp_path / "119.png").write_bytes((tmp_path / "1.png").read_bytes())
    arrivals = TestStream().advance_watermark_to(0).add_elements(at(1, lines[:60]))
    arrivals = arrivals.add_elements(at(11, lines[60:])).advance_watermark_to_infinity()
    run_stream(arrivals, tmp_path / "windows")
    batch = run_ingest(f"{tmp_path}/windows/*/rows.jsonl", near_duplicate_distance=-1)
    assert sum(batch.examples.counts.values()) == 119
    assert set(batch.reasons.values()) == {"duplicate"}
    streamed = [records(window) for window in windows(tmp_path / "windows")]
    for split, kept in records(batch.examples).items():
        assert set(kept) <= {record for window in streamed for record in window[split]}


class WritableBucket(Bucket):
    """A bucket that workers write to: a file is there when it is closed."""

    @classmethod
    def scheme(cls) -> str:
        return "shelves"

    def create(self, path: str, mime_type: str = "", compression_type: str = "") -> Any:
        return _Upload(path)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            del self.objects[path]


class _Upload:
    def __init__(self, path: str) -> None:
        self._path = path
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._parts.append(bytes(data))

    def __enter__(self) -> "_Upload":
        return self

    def __exit__(self, *_: object) -> None:
        WritableBucket.objects[self._path] = b"".join(self._parts)
        WritableBucket.written.append(self._path)


WritableBucket.written = []  # type: ignore[attr-defined]


def test_windows_in_a_bucket(tmp_path: Path) -> None:
    lines = [row(tmp_path, n, "ab"[n % 2]) for n in range(8)]
    run_stream(one_window(lines), "shelves://bucket/windows")
    run_stream(one_window(lines), tmp_path / "windows")
    (local,) = windows(tmp_path / "windows")
    root = f"shelves://bucket/windows/{local.folder.name}/"
    objects = {name.removeprefix(root): data for name, data in WritableBucket.objects.items()}
    files = {file.name: file.read_bytes() for file in local.folder.iterdir()}
    # Nothing is left aside, and the manifest came last.
    assert objects.keys() == files.keys()
    assert WritableBucket.written[-1] == f"{root}manifest.json"  # type: ignore[attr-defined]
    for name in objects.keys() - {"manifest.json"}:
        assert objects[name] == files[name]


def test_a_watched_folder(tmp_path: Path, run_ingest: RunIngest) -> None:
    folder, out = tmp_path / "in", tmp_path / "windows"
    settings = StreamSettings(window=2, poll=0.2)

    def put(number: int, label: str) -> None:
        (folder / label).mkdir(parents=True, exist_ok=True)
        aside = folder / label / f".{number}"
        aside.write_bytes(encoded(gradient(number), "PNG"))
        aside.rename(folder / label / f"{number}.png")

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


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    line = row(tmp_path, 1, "a")
    with pytest.raises(Exception, match="cannot write") as caught:
        run_stream(one_window([line]), tmp_path / "out")
    message = worker_message(caught.value)
    assert message is not None
    assert message.startswith(f"cannot write {tmp_path}/out/")
    assert message.endswith("Not a directory")


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
    asks = "_warn_if_soft_delete_policy_enabled"
    monkeypatch.setattr(GoogleCloudOptions, asks, lambda *_: None)
    image = "europe-docker.pkg.dev/my-project/darkroom/darkroom-ingest:0.1.0"
    given = ["--runner", "DataflowRunner", "--project=my-project", "--region=europe-west4"]
    given += [f"--sdk_container_image={image}", "--temp_location=gs://bucket/tmp", "--streaming"]
    source = ReadMessages(f"projects/my-project/{kind}s/photographs", SETTINGS)
    pipeline = build_pipeline(source, "gs://bucket/windows", SETTINGS, beam_arguments(given))
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
