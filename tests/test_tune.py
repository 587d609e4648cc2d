"""A search, as a user starts it, kills it and starts it again; and as a step of the pipeline."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.train.settings import TrainSettings
from components.train.tuning.settings import TuneSettings
from pipeline.config import load_config
from tests.conftest import ROOT, Finished

pytestmark = pytest.mark.slow

Command = Callable[..., Finished]

# A rate that is good, and one that hardly learns and is pruned where a better trial came before.
GOOD, BAD = 0.01, 0.0000001
SETTINGS = (
    "train={backbone: linear, weights: none, epochs: 3}",
    f"tune={{space: {{learning_rate: [{BAD}, {GOOD}]}}, trials: 3, startup_trials: 1, seed: 1}}",
)
OPTIONS = [part for setting in SETTINGS for part in ("--set", setting)]


def table(study: Path) -> list[dict[str, str]]:
    with (study / "trials.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, with a study that was killed when its first trial had ended."""
    out = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "-m", "pipeline.cli.main", "tune", "configs/digits.yaml"]
    process = subprocess.Popen([*command, *OPTIONS, "--out", str(out)], cwd=ROOT)
    while not (out / "digits-tuned" / "best.yaml").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(table(out / "digits-tuned")) < 3
    return out


@pytest.fixture(scope="module")
def resumed(command: Command, killed: Path) -> Finished:
    return command("tune", "configs/digits.yaml", *OPTIONS, out=killed)


def test_a_killed_study_goes_on(resumed: Finished, killed: Path) -> None:
    assert resumed.code == 0, resumed.output + resumed.error
    assert resumed.error == ""
    lines = resumed.output.splitlines()
    assert not [line for line in lines if line.startswith("[ingest]")]  # made ready once
    assert any(line.startswith("[tune] resumes after ") for line in lines)
    rows = table(killed / "digits-tuned")
    assert [(row["state"], float(row["learning_rate"])) for row in rows] == [
        ("complete", GOOD),
        ("pruned", BAD),
        ("complete", GOOD),
    ]
    assert [row["epochs"] for row in rows] == ["3", "2", "3"]
    shown = [line for line in lines if line.startswith("[tune] trial ") and "  val_acc" in line]
    assert len(shown) < 3
    assert shown[-1].startswith(f"[tune] trial {rows[-1]['trial']}  complete  val_accuracy 0.")
    assert shown[-1].endswith(f"learning_rate {GOOD}")


def test_the_best_settings_are_a_config_to_run(resumed: Finished, killed: Path) -> None:
    best = killed / "digits-tuned" / "best.yaml"
    assert str(best) in resumed.output
    config: Any = load_config(str(best))
    assert config.train.learning_rate == GOOD
    given: Any = load_config(str(ROOT / "configs" / "digits.yaml"), overrides=[SETTINGS[0]])
    train = given.train.model_copy(update={"learning_rate": GOOD})
    assert config == given.model_copy(update={"train": train})
    assert "tune" not in yaml.safe_load(best.read_text())


def test_more_trials_are_added_to_a_study(
    command: Command, resumed: Finished, killed: Path
) -> None:
    more = command("tune", "configs/digits.yaml", *OPTIONS, "--trials", "4", out=killed)
    assert more.code == 0
    assert "[tune] resumes after 3 trials" in more.output
    assert len(table(killed / "digits-tuned")) == 4


def test_a_study_of_something_else_is_refused(
    command: Command, resumed: Finished, killed: Path
) -> None:
    for setting, message in (
        ("ingest.max_rejected=0.5", "is of other photographs (ingest differs)"),
        ("train.epochs=4", "is another one (settings.epochs 3 there, 4 here)"),
    ):
        arguments = ["tune", "configs/digits.yaml", *OPTIONS, "--set", setting]
        finished = command(*arguments, out=killed)
        assert finished.code == 2
        assert message in finished.error
        assert finished.error.count("\n") == 1


def test_an_interruption_keeps_what_is_done(killed: Path, resumed: Finished) -> None:
    command = [sys.executable, "-m", "pipeline.cli.main", "tune", "configs/digits.yaml", *OPTIONS]
    command += ["--set", "tune.trials=99", "--out", str(killed)]
    study = killed / "digits-tuned"
    done = len(table(study))
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while len(table(study)) == done:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert len(table(study)) > done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the config has no section 'tune'"),
        (["--set", "tune.space.epoch=[1, 2]"], "'tune.space.epoch'; did you mean 'epochs'?"),
        (["--set", "tune.space.l2={low: 2, high: 1}"], "low is 2, and must be less than high, 1"),
        (["--set", "tune.space.epochs={low: a, high: 1}"], "setting 'tune.space.epochs.low"),
        ([*OPTIONS, "--trials", "0"], "setting 'tune.trials'"),
        ([*OPTIONS, "--data", "/none"], "data path /none does not exist"),
        ([*OPTIONS, "--vertex-job", "x.yaml"], "expected a gs:// folder"),
    ],
)
def test_wrong_usage_is_one_line_before_the_first_step(
    command: Command, arguments: list[str], message: str, tmp_path: Path
) -> None:
    finished = command("tune", "configs/digits.yaml", *arguments, out=tmp_path / "runs")
    assert finished.code == 2
    assert message in finished.error
    assert finished.error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_pipeline_tunes_before_it_trains(command: Command, tmp_path: Path) -> None:
    finished = command("run", "configs/digits.yaml", *OPTIONS, out=tmp_path)
    assert [(step["name"], step["status"]) for step in finished.run["steps"][:4]] == [
        (name, "succeeded") for name in ("ingest", "transform", "tune", "train")
    ], finished.output + finished.error
    assert "[tune] trial 1  pruned at epoch 2" in finished.output
    study = json.loads((finished.artifact("study") / "manifest.json").read_text())
    model = json.loads((finished.artifact("model") / "manifest.json").read_text())
    trained = TrainSettings.model_validate(model["settings"])
    assert trained.learning_rate == GOOD
    assert trained == TrainSettings.model_validate(study["train"])


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_the_compiled_pipeline_tunes_in_trains_image(
    command: Command, target: str, tmp_path: Path
) -> None:
    file = tmp_path / "pipeline.yaml"
    arguments = ["compile", "configs/digits.yaml", "--target", target, "-o", file, *OPTIONS]
    assert command(*arguments).code == 0
    (document,) = yaml.safe_load_all(file.read_text())
    tasks = document["root"]["dag"]["tasks"]
    assert tasks["train"]["inputs"]["parameters"]["settings"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "tune"}
    }
    executors = document["deploymentSpec"]["executors"]
    assert executors["exec-tune"]["container"]["image"] == "darkroom-train:0.1.0"
    parameters = document["root"]["inputDefinitions"]["parameters"]
    settings = TuneSettings.model_validate(parameters["tune"]["defaultValue"])
    assert settings.space["learning_rate"].choices == (BAD, GOOD)


def test_vertex_takes_the_job(command: Command, tmp_path: Path) -> None:
    """Vertex's own messages read the file, every field of it; nothing is sent."""
    from google.cloud.aiplatform_v1.types import AcceleratorType, HyperparameterTuningJob, StudySpec
    from google.protobuf import json_format

    file = tmp_path / "job.yaml"
    space = (
        "{learning_rate: {low: 0.0001, high: 0.01, log: true}, epochs: {low: 2, high: 9}, "
        "dropout: {low: 0, high: 0.5, step: 0.25}, batch_size: [64, 16], "
        "augmentation: {flip: [true, false]}, backbone: [linear, small_cnn]}"
    )
    resources = "{machine: n1-standard-4, accelerator: NVIDIA_TESLA_T4}"
    finished = command(
        *("tune", "configs/digits.yaml", "--set", f"tune={{space: {space}, trials: 7}}"),
        *("--set", f"cluster.resources.train={resources}", "--set", "cluster.registry=r.dev/p"),
        *("--set", "train.checkpoints=gs://bucket/checkpoints"),
        *("--vertex-job", file, "--transformed", "gs://bucket/run/transform/"),
    )
    assert (finished.code, finished.error) == (0, "")
    message = HyperparameterTuningJob.pb(HyperparameterTuningJob())
    json_format.ParseDict(yaml.safe_load(file.read_text()), message)
    job = HyperparameterTuningJob.wrap(message)
    assert (job.display_name, job.max_trial_count, job.parallel_trial_count) == ("digits", 7, 2)

    spec = job.study_spec
    (metric,) = spec.metrics
    assert metric.metric_id == "val_accuracy"
    assert metric.goal == StudySpec.MetricSpec.GoalType.MAXIMIZE
    assert "median_automated_stopping_spec" in spec
    scales = StudySpec.ParameterSpec.ScaleType
    parameters = {parameter.parameter_id: parameter for parameter in spec.parameters}
    rate = parameters["learning_rate"]
    assert (rate.double_value_spec.min_value, rate.double_value_spec.max_value) == (0.0001, 0.01)
    assert rate.scale_type == scales.UNIT_LOG_SCALE
    epochs = parameters["epochs"].integer_value_spec
    assert (epochs.min_value, epochs.max_value) == (2, 9)
    assert list(parameters["dropout"].discrete_value_spec.values) == [0.0, 0.25, 0.5]
    assert list(parameters["batch_size"].discrete_value_spec.values) == [16.0, 64.0]
    assert list(parameters["augmentation.flip"].categorical_value_spec.values) == ["true", "false"]
    assert list(parameters["backbone"].categorical_value_spec.values) == ["linear", "small_cnn"]

    (pool,) = job.trial_job_spec.worker_pool_specs
    assert pool.machine_spec.machine_type == "n1-standard-4"
    assert pool.machine_spec.accelerator_type == AcceleratorType.NVIDIA_TESLA_T4
    assert pool.replica_count == 1
    container = pool.container_spec
    assert container.image_uri == "r.dev/p/darkroom-train:0.1.0"
    assert list(container.command) == ["python", "-m", "components.train.tuning.vertex_trial"]
    arguments = dict(zip(container.args[::2], container.args[1::2], strict=True))
    folder = "/gcs/bucket/run/transform"
    assert arguments["--transformed-examples"] == f"{folder}/transformed_examples"
    assert arguments["--metric"] == "val_accuracy"
    passed = TrainSettings.model_validate(json.loads(arguments["--settings"]))
    given = load_config(str(ROOT / "configs" / "digits.yaml")).section(TrainSettings)
    assert passed == given
    prefix = job.trial_job_spec.base_output_directory.output_uri_prefix
    assert prefix == "gs://bucket/checkpoints"


def test_vertex_runs_the_command_with_a_trials_settings() -> None:
    """The job's command, as its image would run it with the arguments that Vertex adds."""
    command = ["components.train.tuning.vertex_trial", "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    for option in ("--transformed-examples", "--transform-graph", "--settings", "--metric"):
        assert option in result.stdout
