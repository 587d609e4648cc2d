"""The whole graph with its photographs and records in a bucket, on the stores that run here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.ingest.sources.source import write_digits
from darkroom.artifacts.examples import SPLITS, read_examples
from darkroom.records.tfrecord import read_records
from darkroom.storage import files
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3
from tests.conftest import Finished, darkroom

pytestmark = pytest.mark.slow

FEWER = 4
"""Every fourth of the digits: a store answers a request at a time."""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    for number, path in enumerate(sorted(folder.glob("*/*.png"))):
        if number % FEWER:
            path.unlink()
    return folder


def run(data: str, out: Path, data_root: str | None = None) -> Finished:
    roots = [f"{step}.data_root={data_root}" for step in ("ingest", "transform")]
    settings = [
        f"data={data}",
        "train.epochs=2",
        "evaluate.thresholds={accuracy: 0.2}",
        *(roots if data_root else []),
    ]
    given = [word for setting in settings for word in ("--set", setting)]
    return darkroom("run", "configs/digits.yaml", *given, out=out)


@pytest.fixture(scope="module")
def here(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(str(digits), tmp_path_factory.mktemp("here"))


@pytest.fixture(scope="module", params=["gs", "s3"])
def bucket(request: pytest.FixtureRequest, digits: Path) -> Iterator[str]:
    store = {"gs": fake_cloud_storage, "s3": fake_s3}[request.param]
    with store():
        for label in sorted(digits.iterdir()):
            files.upload(sorted(label.iterdir()), f"{request.param}://bucket/digits/{label.name}")
        yield f"{request.param}://bucket"


def test_a_run_on_a_bucket_gives_what_one_on_a_disk_gives(
    bucket: str, here: Finished, tmp_path: Path
) -> None:
    assert here.code == 0, here.output + here.error
    there = run(f"{bucket}/digits", tmp_path, f"{bucket}/records")
    assert there.code == 0, there.output + there.error
    one, other = (read_examples(each.artifact("examples")) for each in (here, there))
    assert other.records.startswith(f"{bucket}/records/examples-")
    for split in SPLITS:
        assert [r for s in other.shards(split) for r in read_records(s)] == [
            r for s in one.shards(split) for r in read_records(s)
        ]
    assert [path.name for path in other.folder.iterdir()] == ["manifest.json"]
    assert there.run["metrics"] == here.run["metrics"]
