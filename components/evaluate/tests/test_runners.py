"""The model is run by workers of several engines, which say the same of every photograph."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.evaluate.predictions import tasks
from components.evaluate.tests.conftest import SETTINGS, Run
from components.evaluate.tests.small_artifacts import run_evaluate, write_examples
from darkroom.artifacts.predictions import read_predictions
from darkroom.errors import SettingsError, StepError
from darkroom.tests.disk_bucket import file_of
from darkroom.tests.remote_workers import STAGING_LOCATION, start_bucket

pytestmark = pytest.mark.slow


@pytest.fixture(params=["two processes", "dask", "remote"])
def options(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    if request.param == "two processes":
        yield ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    elif request.param == "remote":
        yield start_bucket(tmp_path / "store", monkeypatch)
        assert not list(file_of(STAGING_LOCATION).iterdir())
    else:
        from distributed import LocalCluster

        with LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            yield ["--runner=DaskRunner", f"--dask_client_address={cluster.scheduler_address}"]


def test_every_engine_gives_the_same_predictions(
    digits_run: Run, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "TASK_BYTES", 1)  # a task a shard
    settings = SETTINGS | {"beam_options": options}
    verdict, evaluation, _ = run_evaluate(
        digits_run.examples, digits_run.model, settings, tmp_path / "output"
    )
    assert verdict == digits_run.verdict
    assert len(list(evaluation.glob("predictions-test-*.parquet"))) == 3
    assert read_predictions(evaluation).equals(read_predictions(digits_run.evaluation.folder))


def test_what_a_worker_says_reaches_people_as_one_line(
    digits_run: Run, options: list[str], tmp_path: Path
) -> None:
    row = {"image_bytes": b"no image", "image_path": "a.png", "label": "0"}
    examples = write_examples(tmp_path / "examples", [row], {})
    with pytest.raises(StepError, match=r"^the model cannot read .*; ingest again \(.*\)$"):
        run_evaluate(examples, digits_run.model, {"beam_options": options}, tmp_path / "output")


def test_a_runner_without_a_shared_folder_is_refused(digits_run: Run, tmp_path: Path) -> None:
    settings = {"beam_options": ["--runner=DataflowRunner"]}
    with pytest.raises(SettingsError, match=r"^DataflowRunner: its workers do not reach"):
        run_evaluate(digits_run.examples, digits_run.model, settings, tmp_path / "output")
