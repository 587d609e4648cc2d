"""The streaming mode: windows of arriving photographs, each as the batch mode would write it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from components.ingest.settings import StreamSettings
from components.ingest.shards.chunk import Chunk
from components.ingest.shards.chunks import chunks_of
from components.ingest.streaming.window_folder import WindowFolder
from components.ingest.tests.bucket import Bucket
from components.ingest.tests.windows import images, records, rejected, row, windows
from darkroom.artifacts.examples import SPLITS, Examples
from darkroom.beam.options import worker_message

if TYPE_CHECKING:
    from apache_beam.testing.test_stream import TestStream
    from apache_beam.transforms.window import TimestampedValue

pytestmark = pytest.mark.slow

RunIngest = Callable[..., Any]
SETTINGS = StreamSettings(window=10, poll=0.2)
STREAMED = ["--runner=apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"]
STREAMED += ["--streaming"]


def run_stream(arrivals: TestStream, out: Path | str, settings: StreamSettings = SETTINGS) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.ingest.streaming.windows import WriteWindows

    with beam.Pipeline(options=PipelineOptions(STREAMED)) as pipeline:
        _ = pipeline | arrivals | WriteWindows(str(out), settings)


def at(seconds: float, lines: Iterable[str]) -> list[TimestampedValue]:
    from apache_beam.transforms.window import TimestampedValue

    return [TimestampedValue(line, seconds) for line in lines]


def one_window(lines: Sequence[str]) -> TestStream:
    """All lines in the window that starts at 0."""
    from apache_beam.testing.test_stream import TestStream

    stream = TestStream().advance_watermark_to(0).add_elements(at(1, lines))
    return stream.advance_watermark_to(20).advance_watermark_to_infinity()


def start_of(window: Examples) -> str:
    return window.folder.name.partition("-")[0]


def test_each_window_is_what_the_batch_mode_writes(tmp_path: Path, run_ingest: RunIngest) -> None:
    from apache_beam.testing.test_stream import TestStream

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
            names = [[Path(shard).name for shard in shards] for shards in (one, other)]
            assert names[0] == names[1]
            contents = [[Path(shard).read_bytes() for shard in shards] for shards in (one, other)]
            assert contents[0] == contents[1]
        assert window.manifest == batch.manifest
        for part in window.folder.glob("index-*.parquet"):
            assert pq.read_table(part) == pq.read_table(batch.folder / part.name)


def test_what_comes_late_has_a_folder_of_its_own(tmp_path: Path) -> None:
    from apache_beam.testing.test_stream import TestStream

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
    monkeypatch.setattr("components.ingest.shards.chunks.FEWEST_BYTES", 128_000)
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
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.testing.test_stream import TestStream

    from components.ingest.streaming.windows import Finish

    monkeypatch.setattr("components.ingest.shards.chunks.FEWEST_BYTES", 16_000)
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
    from apache_beam.testing.test_stream import TestStream

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


def test_windows_in_a_bucket(tmp_path: Path) -> None:
    lines = [row(tmp_path, n, "ab"[n % 2]) for n in range(8)]
    run_stream(one_window(lines), "shelf://bucket/windows")
    run_stream(one_window(lines), tmp_path / "windows")
    (local,) = windows(tmp_path / "windows")
    root = f"shelf://bucket/windows/{local.folder.name}/"
    objects = {name.removeprefix(root): data for name, data in Bucket.objects.items()}
    files = {file.name: file.read_bytes() for file in local.folder.iterdir()}
    # Nothing temporary is left, and the manifest came last.
    assert objects.keys() == files.keys()
    assert Bucket.written[-1] == f"{root}manifest.json"
    for name in objects.keys() - {"manifest.json"}:
        assert objects[name] == files[name]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    line = row(tmp_path, 1, "a")
    with pytest.raises(Exception, match="cannot write") as caught:
        run_stream(one_window([line]), tmp_path / "out")
    message = worker_message(caught.value)
    assert message is not None
    assert message.startswith(f"cannot write {tmp_path}/out/")
    assert message.endswith("Not a directory")
