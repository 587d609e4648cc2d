"""Workers on other machines: what they share with the step is a bucket."""

from pathlib import Path

import pytest

from components.transform.settings import TransformSettings
from components.transform.tests.conftest import pictures, png, write_examples
from components.transform.transform import transform
from darkroom.artifacts.transformed import read_transform_graph
from darkroom.errors import SettingsError, StepError
from darkroom.records.shards import list_shards
from darkroom.tests.disk_bucket import file_of
from darkroom.tests.remote_workers import STAGING_LOCATION, start_bucket

pytestmark = pytest.mark.slow


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    return tuple(start_bucket(tmp_path / "store", monkeypatch))


def test_remote_workers_write_the_same_records(
    tmp_path: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [png(picture) for _, picture in pictures("train")]
    examples = write_examples(tmp_path / "examples", [images[n : n + 14] for n in range(0, 70, 14)])
    shard_bytes = list_shards(str(examples), "train")[0].size
    monkeypatch.setattr("components.transform.pixels.TASK_BYTES", shard_bytes * 2)
    given = {}
    for name, beam_options in {"here": (), "elsewhere": options}.items():
        graph, records = tmp_path / name / "graph", tmp_path / name / "records"
        settings = TransformSettings(image_size=16, crop_margin=0.25, beam_options=beam_options)
        moments = transform(examples, settings, transform_graph=graph, transformed_examples=records)
        files = {shard.name: shard.read_bytes() for shard in records.glob("*.tfrecord")}
        given[name] = files, moments, read_transform_graph(graph).labels
    assert len(given["here"][0]) > 3
    assert given["elsewhere"] == given["here"]
    assert not list(file_of(STAGING_LOCATION).iterdir())


def test_what_a_worker_elsewhere_says_reaches_people_as_one_line(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    examples = write_examples(tmp_path / "examples", [[b"no image"]])
    settings = TransformSettings(image_size=16, beam_options=options)
    with pytest.raises(StepError, match=r"^cannot decode photo-0-0\.jpg; ingest again \(.*\)$"):
        transform(
            examples,
            settings,
            transform_graph=tmp_path / "graph",
            transformed_examples=tmp_path / "records",
        )
    assert not list(file_of(STAGING_LOCATION).iterdir())


def test_a_runner_without_a_shared_folder_is_refused(tmp_path: Path) -> None:
    settings = TransformSettings(beam_options=("--runner=DataflowRunner",))
    with pytest.raises(SettingsError, match=r"^DataflowRunner: its workers do not reach"):
        transform(
            tmp_path / "none",
            settings,
            transform_graph=tmp_path / "graph",
            transformed_examples=tmp_path / "records",
        )
