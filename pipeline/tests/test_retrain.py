"""A retraining that the monitor claims: its config, and its one run on a cluster."""

import dataclasses
import datetime
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.evaluate.settings import EvaluateSettings
from components.ingest.settings import IngestSettings
from components.monitor.retraining.claims import Retraining
from components.monitor.retraining.settings import TriggerSettings
from components.monitor.retraining.trigger import ask_for_run
from components.train.settings import TrainSettings
from darkroom.errors import SettingsError
from pipeline.config import Config, load_config
from pipeline.settings.cluster import KubeflowSettings
from pipeline.target import Run
from pipeline.targets import cluster_target
from pipeline.targets.kubeflow.client import Kubeflow
from pipeline.tests.kubeflow_fixtures import DIGITS
from pipeline.tests.kubeflow_server import KubeflowServer
from pipeline.tests.trigger_fixtures import ROOT
from pipeline.triggers.claims import ClaimLog
from pipeline.triggers.retrain import retraining_config, submit_retraining
from pipeline.triggers.start_run import trigger_store

CLAIMED = 1_795_000_000.0
WORD = Retraining(3, CLAIMED, "accuracy 0.81 is below 0.9", "fine_tune", 200)


def monitored(folder: Path, *overrides: str) -> list[str]:
    """Overrides that give a config a section `monitor`."""
    retrain = f"{{when: accuracy < 0.9, dataset: {folder}/production}}"
    monitor = f"{{state: {folder}/monitor, predictions: [predicted], retrain: {retrain}}}"
    return [*overrides, f"monitor={monitor}"]


def test_the_config_of_a_retraining(tmp_path: Path) -> None:
    config = load_config(str(DIGITS), None, monitored(tmp_path))
    found = retraining_config(config, WORD, "/served/1", "/runs/1/examples")
    ingest, evaluate = found.section(IngestSettings), found.section(EvaluateSettings)
    assert ingest.further_data == (f"{tmp_path}/production/*.jsonl",)
    assert ingest.previous == "/runs/1/examples"
    assert ingest.split == config.section(IngestSettings).split
    assert found.section(TrainSettings).from_model == "/served/1"
    assert found.section(TrainSettings).fine_tune_epochs == 12
    assert evaluate.slices == ("label", "source")
    assert {key: each.not_worse_by for key, each in evaluate.against_baseline.items()} == {
        "accuracy of source=monitored": 0,
        "accuracy of source!=monitored": 0.02,
    }
    assert evaluate.thresholds == config.section(EvaluateSettings).thresholds


def test_what_the_config_says_itself_stays(tmp_path: Path) -> None:
    stated = "evaluate.against_baseline={macro_f1: {not_worse_by: 0.1}}"
    place = f"ingest.further_data=[{tmp_path}/production/*.jsonl]"
    config = load_config(str(DIGITS), None, monitored(tmp_path, stated, place))
    none = dataclasses.replace(WORD, labelled=0)
    found = retraining_config(config, none, None)
    assert found.section(IngestSettings).further_data == (f"{tmp_path}/production/*.jsonl",)
    assert next(iter(found.section(EvaluateSettings).against_baseline)) == "macro_f1"
    assert found.section(TrainSettings).from_model is None
    plain = load_config(str(DIGITS), None, monitored(tmp_path))
    assert retraining_config(plain, none, None) == plain
    with pytest.raises(SettingsError, match=r"no setting 'monitor\.retrain': give it one"):
        retraining_config(load_config(str(DIGITS)), WORD, None)


def test_a_noisy_student_has_the_photographs_that_its_teacher_labelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    student = dataclasses.replace(WORD, how="noisy_student", labelled=0)
    table = f"{tmp_path}/production/pseudo-labels-0003-20261118t110640.csv"
    quiet = monitored(tmp_path, "train.dropout=0", "train.augmentation={}")
    config = load_config(str(DIGITS), None, quiet)
    found = retraining_config(config, student, None)
    assert found.section(IngestSettings).further_data == (table,)
    assert found.section(TrainSettings).from_model is None
    # A model's labels are no test of another: the usual margins stay.
    assert found.section(EvaluateSettings) == config.section(EvaluateSettings)
    assert "without noise" in caplog.text
    caplog.clear()
    noisy = load_config(str(DIGITS), None, monitored(tmp_path, "train.dropout=0.5"))
    found = retraining_config(noisy, dataclasses.replace(student, labelled=2), None)
    tables = (table, f"{tmp_path}/production/*.jsonl")
    assert found.section(IngestSettings).further_data == tables
    assert not caplog.text


@pytest.fixture
def of_cluster(
    photographs: Path, tmp_path: Path, kubeflow_settings: KubeflowSettings
) -> tuple[Config, Kubeflow]:
    state = f"trigger={{state: {tmp_path}/state, minimum_interval: 1s}}"
    flowers = str(ROOT / "configs" / "flowers.yaml")
    config = load_config(flowers, str(photographs), monitored(tmp_path, state))
    (tmp_path / "production").mkdir()
    row = '{"image": "a", "label": "roses", "source": "monitored"}\n'
    (tmp_path / "production" / "a.jsonl").write_text(row)
    return config, Kubeflow(kubeflow_settings)


def submit(config: Config, cluster: Any, word: Retraining) -> Any:
    return submit_retraining(config, word, cluster, cluster_target("kfp"), trigger_store(config))


def test_a_retraining_gets_one_run_on_a_cluster(
    of_cluster: tuple[Config, Kubeflow], server: KubeflowServer, tmp_path: Path
) -> None:
    config, cluster = of_cluster
    first = submit(config, cluster, WORD)
    assert first.reason == WORD.reason
    (run,) = server.runs.values()
    parameters = run.body["runtime_config"]["parameters"]
    assert parameters["ingest"]["further_data"] == [f"{tmp_path}/production/*.jsonl"]
    assert "accuracy of source=monitored" in parameters["evaluate"]["against_baseline"]
    time.sleep(1)
    again = submit(config, cluster, WORD)
    assert again.run.id == first.run.id
    assert len(server.runs) == 1
    other = submit(config, cluster, dataclasses.replace(WORD, number=4))
    assert other.run.id != first.run.id


def test_a_run_whose_trigger_died_is_found(
    of_cluster: tuple[Config, Kubeflow], server: KubeflowServer, tmp_path: Path
) -> None:
    """The trigger claimed and submitted, and was killed before it had written down the run."""
    config, cluster = of_cluster
    first = submit(config, cluster, WORD)
    state = tmp_path / "state" / config.name
    (state / "000001.run").unlink()
    (state / "000001.claim").unlink()
    then = first.run.created - datetime.timedelta(seconds=5)
    assert ClaimLog(trigger_store(config)).claim("x", frozenset(), None, then, WORD.key)
    again: Run = submit(config, cluster, WORD).run
    assert again.id == first.run.id
    assert len(server.runs) == 1
    assert (state / "000001.run").read_text() == first.run.id


@pytest.fixture
def address(of_cluster: tuple[Config, Kubeflow], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import uvicorn

    from pipeline.triggers.server import TriggerApp

    config, cluster = of_cluster
    monkeypatch.setenv("RETRAIN_SECRET", "s3cret")
    application = TriggerApp(
        config, cluster, cluster_target("kfp"), trigger_store(config), "s3cret"
    ).application()
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_the_monitor_asks_the_trigger_server(
    address: str, server: KubeflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    door = TriggerSettings(address=f"{address}/", secret="RETRAIN_SECRET")
    run = ask_for_run(WORD, door)
    assert list(server.runs) == [run]
    assert ask_for_run(WORD, door) == run
    soon = ask_for_run(dataclasses.replace(WORD, number=4), door)
    assert soon in ("", *server.runs)
    unknown = door.model_copy(update={"secret": "NO_SUCH_VARIABLE"})
    assert ask_for_run(WORD, unknown) == ""
    assert "unknown caller" in caplog.text
    nowhere = TriggerSettings(address="http://127.0.0.1:9", secret="RETRAIN_SECRET")
    assert ask_for_run(WORD, nowhere) == ""
    headers = {"authorization": "Bearer s3cret"}
    wrong = {"reason": "x", "retraining": {"number": 1}}
    answer = httpx.post(f"{address}/quality", json=wrong, headers=headers)
    assert answer.status_code == 400
    assert "expected retraining" in answer.json()["error"]
