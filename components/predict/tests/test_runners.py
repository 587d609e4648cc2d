"""Workers of several engines say the same of every photograph as this process does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.predict import work as work_module
from components.predict.predict import predict
from components.predict.settings import PredictSettings
from components.predict.tests.small_model import write_photographs
from darkroom.artifacts.batch_predictions import BatchPredictions, read_batch_predictions
from darkroom.errors import StepError
from darkroom.tests.disk_bucket import file_of
from darkroom.tests.remote_workers import STAGING_LOCATION, start_bucket

pytestmark = pytest.mark.slow


@pytest.fixture(params=["in memory", "a process", "dask"])
def options(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    if request.param == "in memory":
        yield ["--runner=DirectRunner"]
    elif request.param == "a process":
        yield ["--runner=DirectRunner", "--direct_running_mode=multi_processing"]
    else:
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            yield ["--runner=DaskRunner", f"--dask_client_address={cluster.scheduler_address}"]


def run(out: Path, model: Path, data: Path | str, **settings: Any) -> BatchPredictions:
    values = {"data": str(data), **settings}
    predict(PredictSettings.model_validate(values), model, predictions=out)
    return read_batch_predictions(out)


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(work_module, "SHARD_ROWS", 8)
    write_photographs(tmp_path / "in", 20)
    (tmp_path / "in" / "0003.jpg").write_bytes(b"no image")
    return tmp_path / "in"


def assert_same(there: BatchPredictions, here: BatchPredictions) -> None:
    assert here.rows == 19
    assert [file.name for file in there.files] == [file.name for file in here.files]
    assert len(here.files) == 3
    assert there.manifest["counts"] == here.manifest["counts"]
    assert there.manifest["digest"] == here.manifest["digest"]


def test_every_engine_gives_the_same(
    model: Path, options: list[str], photographs: Path, tmp_path: Path
) -> None:
    here = run(tmp_path / "here", model, photographs)
    assert_same(run(tmp_path / "there", model, photographs, beam_options=options), here)


def test_what_a_worker_says_is_one_line(model: Path, options: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.tfrecord").write_bytes(b"damaged, and no record of any kind")
    with pytest.raises(StepError, match=r"t\.tfrecord is damaged or cut short") as raised:
        run(tmp_path / "out", model, tmp_path / "t.tfrecord", beam_options=options)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_workers_elsewhere_share_a_bucket(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = run(tmp_path / "here", model, photographs)
    options = start_bucket(tmp_path / "store", monkeypatch)
    for file in photographs.iterdir():
        target = file_of(f"{STAGING_LOCATION}/in/{file.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    there = run(
        *(tmp_path / "there", model, f"{STAGING_LOCATION}/in/*.jpg"),
        beam_options=options,
    )
    assert there.manifest["counts"] == here.manifest["counts"]
    compared = ["image_id", "label", "probabilities"]
    assert there.table(compared).equals(here.table(compared))
