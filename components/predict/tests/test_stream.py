"""Photographs are predicted as they arrive, each once, in folders of their windows."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from components.predict.settings import StreamSettings
from components.predict.stream import predict_arrivals, stream
from components.predict.tests.small_model import write_photographs
from components.predict.windows import write_window
from darkroom.artifacts.batch_predictions import BatchPredictions, read_batch_predictions
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow


def settings(model: Path, **more: Any) -> StreamSettings:
    return StreamSettings.model_validate({"predict": {"model": str(model)}, "window": 10, **more})


def windows(out: Path) -> list[BatchPredictions]:
    return [read_batch_predictions(file.parent) for file in sorted(out.glob("*/manifest.json"))]


def test_what_comes_late_is_a_folder_of_its_own(model: Path, tmp_path: Path) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.testing.test_stream import TestStream
    from apache_beam.transforms.window import TimestampedValue

    from components.predict.messages import PredictWindows

    first, late = map(str, write_photographs(tmp_path / "in", 2))
    arrivals = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements([TimestampedValue(json.dumps({"image": first}), 1)])
        .advance_watermark_to(30)
        .add_elements([TimestampedValue(json.dumps({"image": late}), 2)])
        .advance_processing_time(30)
        .advance_watermark_to_infinity()
    )
    runner = "apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"
    options = PipelineOptions([f"--runner={runner}", "--streaming"])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | arrivals | PredictWindows(str(tmp_path / "out"), settings(model))
    found = windows(tmp_path / "out")
    assert [window.folder.name[:17] for window in found] == ["19700101T000000Z-"] * 2
    assert sorted(image for window in found for image in window.images()) == [first, late]


def test_messages_become_windows(model: Path, tmp_path: Path) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.testing.test_stream import TestStream
    from apache_beam.transforms.window import TimestampedValue

    from components.predict.messages import PredictWindows, line_of_message

    files = write_photographs(tmp_path / "in", 6)
    sent = [json.dumps({"image": str(file), "n": n}).encode() for n, file in enumerate(files)]
    lines = [line_of_message(data, {}, "image") for data in sent]
    about = {"bucketId": "b", "objectId": "in/a.jpg", "eventType": "OBJECT_FINALIZE"}
    assert line_of_message(b"{}", about, "image") == '{"image": "gs://b/in/a.jpg"}'
    assert line_of_message(b"{}", {**about, "eventType": "OBJECT_DELETE"}, "image") is None
    assert line_of_message(b"{}", {**about, "objectId": "in/a.txt"}, "image") is None

    def at(seconds: float, some: list[str | None]) -> list[TimestampedValue]:
        return [TimestampedValue(line, seconds) for line in some]

    arrivals = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements(at(12, [*lines[4:], "no JSON"]))
        .add_elements(at(1, [*reversed(lines[:4]), lines[0]]))
        .advance_watermark_to_infinity()
    )
    runner = "apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"
    options = PipelineOptions([f"--runner={runner}", "--streaming"])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | arrivals | PredictWindows(str(tmp_path / "out"), settings(model))
    first, second = windows(tmp_path / "out")
    assert first.folder.name.startswith("19700101T000000Z-")
    assert first.table()["image"].to_pylist() == list(map(str, files[:4]))
    assert first.table()["n"].to_pylist() == [0, 1, 2, 3]
    assert second.table()["image"].to_pylist() == list(map(str, files[4:]))
    assert second.manifest["rejected"] == {"malformed_row": 1}


def test_a_message_that_is_delivered_again_late_has_no_second_prediction(
    model: Path, tmp_path: Path
) -> None:
    lines = [json.dumps({"image": str(file)}) for file in write_photographs(tmp_path / "in", 4)]
    out = tmp_path / "out"
    given = settings(model)
    first = write_window(lines[:2], 60.0, str(out), given)
    assert write_window(reversed(lines[:2]), 60.0, str(out), given) == first
    assert write_window(lines[1:2], 60.0, str(out), given) == first
    # With a late one that is new, and alone in a later window, where it is another message.
    second = write_window(lines[:3], 60.0, str(out), given)
    assert write_window([lines[2], lines[0]], 60.0, str(out), given) in (first, second)
    third = write_window(lines[:1], 120.0, str(out), given)
    rows = {str(window.folder): window.rows for window in windows(out)}
    assert rows == {first: 2, second: 1, third: 1}


def test_a_window_whose_process_was_killed_is_predicted_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.predict import windows as module

    (file,) = write_photographs(tmp_path / "in", 1)
    lines, out = [json.dumps({"image": str(file)})], str(tmp_path / "out")

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "predict", killed)
        with pytest.raises(KeyboardInterrupt):
            write_window(lines, 60.0, out, settings(model))
    write_window(lines, 60.0, out, settings(model))
    assert [window.rows for window in windows(tmp_path / "out")] == [1]


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "tfrecord"])
def test_what_arrives_in_a_folder_is_predicted_once(model: Path, tmp_path: Path, form: str) -> None:
    from components.predict.stream import _predicted

    files = write_photographs(tmp_path / "in", 3)
    files[1].write_bytes(b"no image")
    given = settings(model, predict={"model": str(model), "format": form})
    out, seen = tmp_path / "out", set[str]()
    predict_arrivals(tmp_path / "in", out, given, seen)
    predict_arrivals(tmp_path / "in", out, given, seen)
    assert len(windows(out)) == 1
    # Another process knows by what stands there.
    assert _predicted(out) == seen == set(map(str, files))
    write_photographs(tmp_path / "in" / "more", 2)
    predict_arrivals(tmp_path / "in", out, given, _predicted(out))
    assert sorted(window.rows for window in windows(out)) == [2, 2]


def test_a_watch_is_stopped_at_any_time(model: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path / "in", 2)
    command = [sys.executable, "-m", "components.predict.stream"]
    command += ["--source", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--settings"]
    command += [json.dumps({"predict": {"model": str(model)}, "window": 1})]
    process = subprocess.Popen(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    try:
        while not windows(tmp_path / "out"):
            assert process.poll() is None
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert [window.rows for window in windows(tmp_path / "out")] == [2]


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("none", "out", "the folder .*none does not exist"),
        ("", "in", "lies in the watched folder"),
        ("gs://bucket/in", "out", "cannot watch gs://bucket/in .*Pub/Sub"),
    ],
)
def test_sources_that_cannot_be_watched(
    tmp_path: Path, source: str, out: str, message: str
) -> None:
    place = source if "://" in source else str(tmp_path / source)
    with pytest.raises(SettingsError, match=message):
        stream(place, str(tmp_path / out), settings(Path("model")))
