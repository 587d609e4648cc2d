"""The whole graph with its photographs and records in a bucket, on the stores that run here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.ingest.sources.digits import write_digits
from darkroom.artifacts.examples import SPLITS, read_examples
from darkroom.channels.tests.servers import serving
from darkroom.records.tfrecord import read_records
from darkroom.storage import files
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3
from pipeline.tests.faulty_proxy import FaultyProxy
from tests.conftest import ROOT, Finished, darkroom

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


def ingest(data: str, out: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    outputs = ("examples", "rejected", "statistics")
    named = [word for name in outputs for word in (f"--{name}", str(out / name))]
    given = json.dumps({"near_duplicate_distance": -1, "shard_bytes": 1_000_000} | settings)
    command = [sys.executable, "-m", "components.ingest", "--data", data, "--settings", given]
    return subprocess.run([*command, *named], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture
def unreliable(digits: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A bucket on Cloud Storage, which is busy once it is told to be."""
    with fake_cloud_storage() as address:
        for label in sorted(digits.iterdir()):
            files.upload(sorted(label.iterdir()), f"gs://bucket/digits/{label.name}")
        for proxy in serving(FaultyProxy(address)):
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.address)
            yield proxy


def test_a_store_that_is_busy_for_a_while_is_asked_again(
    unreliable: FaultyProxy, digits: Path, tmp_path: Path
) -> None:
    here = ingest(str(digits), tmp_path / "here")
    assert here.returncode == 0, here.stderr
    unreliable.busy = 40
    there = ingest("gs://bucket/digits", tmp_path / "there", data_root="gs://bucket/records")
    unreliable.busy = 0
    assert there.returncode == 0, there.stderr
    one, other = (read_examples(tmp_path / name / "examples") for name in ("here", "there"))
    assert other.manifest["digest"] == one.manifest["digest"]
    names = {file.location.rpartition("/")[2] for file in files.list_files(f"{other.records}/*")}
    assert names == {path.name for path in one.folder.iterdir()}
    assert {file.location for file in files.list_files("gs://bucket/records/**")} == {
        f"{other.records}/{name}" for name in names
    }


def test_a_store_that_refuses_is_one_clear_line_and_leaves_nothing(
    unreliable: FaultyProxy, digits: Path, tmp_path: Path
) -> None:
    unreliable.refuse = True
    refused = ingest(str(digits), tmp_path / "out", data_root="gs://bucket/records")
    unreliable.refuse = False
    assert refused.returncode == 1
    line = refused.stderr.splitlines()[-1]
    assert "gs://bucket/records" in line
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out" / "examples").exists()
    assert files.list_files("gs://bucket/records/**") == []
