"""A search finds better settings, prunes worse trials, and resumes after it was killed."""

import csv
import fcntl
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.train.settings import TrainSettings
from components.train.tests.conftest import Transformed
from components.train.tuning.settings import TuneSettings
from components.train.tuning.tune import run_study, tune
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings

TRAIN = {"backbone": "linear", "weights": "none", "batch_size": 16, "epochs": 3}


# A rate so small that nothing is learned, or one that the colours are learned with.
SPACE = {"learning_rate": [1e-7, 0.02], "augmentation.flip": [False, True]}


TUNE = {"space": SPACE, "trials": 3, "startup_trials": 1, "seed": 1}


PROGRAM = (
    "import json, os, signal, sys\n"
    "from pathlib import Path\n"
    "from components.train.settings import TrainSettings\n"
    "from components.train.tuning.settings import TuneSettings\n"
    "from components.train.tuning.study import Study\n"
    "from components.train.tuning.tune import tune\n"
    "report = Study.report; calls = []\n"
    "def killed(*arguments):\n"
    "    calls.append(1)\n"
    "    if len(calls) == int(sys.argv[6]):\n"
    "        os.kill(os.getpid(), getattr(signal, sys.argv[7]))\n"
    "    return report(*arguments)\n"
    "Study.report = killed\n"
    "tune(Path(sys.argv[1]), Path(sys.argv[2]), TuneSettings(**json.loads(sys.argv[3])),\n"
    "    TrainSettings(**json.loads(sys.argv[4])), study=Path(sys.argv[5]))\n"
)


def run(transformed: Transformed, study: Path, **changes: Any) -> dict[str, Any]:
    return tune(
        transformed.records,
        transformed.graph,
        validate_settings(TuneSettings, TUNE | changes),
        validate_settings(TrainSettings, TRAIN),
        study=study,
    )


def table(study: Path) -> list[dict[str, str]]:
    with (study / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def drawn(study: Path) -> list[tuple[str, ...]]:
    """Settings and results of the trials, without numbers and times."""
    names = ("state", "val_accuracy", "epochs", *SPACE)
    return [tuple(row[name] for name in names) for row in table(study)]


@pytest.fixture(scope="module")
def uninterrupted(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("uninterrupted")
    found = run(transformed, study)
    assert found == json.loads((study / "manifest.json").read_text())["train"]
    return study


@pytest.mark.slow
def test_the_better_settings_are_found(uninterrupted: Path) -> None:
    found = json.loads((uninterrupted / "manifest.json").read_text())["train"]
    assert found["learning_rate"] == 0.02
    assert found["epochs"] == 3
    assert TrainSettings.model_validate(found).backbone == "linear"
    rows = table(uninterrupted)
    best = max(rows, key=lambda row: float(row["val_accuracy"]))
    assert float(best["learning_rate"]) == 0.02
    assert str(found["augmentation"]["flip"]) == best["augmentation.flip"]


@pytest.mark.slow
def test_a_worse_trial_is_pruned(uninterrupted: Path) -> None:
    rows = {row["trial"]: row for row in table(uninterrupted)}
    assert len(rows) == 3
    states = [row["state"] for row in rows.values()]
    assert set(states) == {"complete", "pruned"}
    for row in rows.values():
        # Every trial is given its first epoch; what is worse by the second ends there.
        assert row["epochs"] == ("3" if row["state"] == "complete" else "2")
        if row["state"] == "pruned":
            assert row["learning_rate"] == "1e-07"
    assert not list((uninterrupted / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_finished_study_runs_no_more(transformed: Transformed, uninterrupted: Path) -> None:
    before = (uninterrupted / "trials.csv").read_text()
    assert run(transformed, uninterrupted)["learning_rate"] == 0.02
    assert (uninterrupted / "trials.csv").read_text() == before


@pytest.mark.slow
def test_killed_again_and_again_it_draws_the_same_trials(
    transformed: Transformed, uninterrupted: Path, tmp_path: Path
) -> None:
    """In the first trial, in the one that resumes it, and by a preemption later."""
    for call, name, code in ((2, "SIGKILL", -9), (2, "SIGKILL", -9), (4, "SIGTERM", 1)):
        arguments = [transformed.records, transformed.graph, json.dumps(TUNE), json.dumps(TRAIN)]
        arguments += [tmp_path, call, name]
        command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stderr
    assert "InterruptedStepError: asked to end (SIGTERM)" in result.stderr
    run(transformed, tmp_path)
    assert drawn(tmp_path) == drawn(uninterrupted)
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.slow
def test_another_search_is_not_mixed_in(transformed: Transformed, uninterrupted: Path) -> None:
    space = SPACE | {"learning_rate": [0.01, 0.02]}
    with pytest.raises(SettingsError, match=r"is another one \(space.learning_rate.choices \["):
        run(transformed, uninterrupted, space=space)
    with pytest.raises(SettingsError, match="metric val_accuracy there, val_loss here"):
        run(transformed, uninterrupted, metric="val_loss")


@pytest.mark.slow
def test_a_damaged_study_is_named(transformed: Transformed, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("no database")
    with pytest.raises(StepError, match=r"cannot use .*study.db \(.*\): delete it to tune from"):
        run(transformed, tmp_path)


@pytest.mark.slow
def test_two_do_not_tune_in_one_folder(transformed: Transformed, tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StepError, match=r"another process is tuning in .*: wait for it, or"):
            run(transformed, tmp_path)


def test_the_component_takes_what_the_step_takes() -> None:
    from kfp import dsl

    from components.train.tuning.step import tune as step
    from darkroom.runtime.run_step import output_names

    spec = dsl.component(step, base_image="darkroom").component_spec
    outputs = [name for name in spec.outputs if name != "Output"]
    assert [*spec.inputs, *outputs] == list(inspect.signature(tune).parameters)
    assert outputs == output_names(tune)
    assert spec.outputs["Output"].type == "Dict"


@pytest.mark.slow
def test_the_step_from_a_shell(transformed: Transformed, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "components.train.tuning", "--study", str(tmp_path / "study")]
    command += ["--transformed-examples", str(transformed.records)]
    command += ["--transform-graph", str(transformed.graph)]
    short = TUNE | {"trials": 1}
    done = [*command, "--settings", json.dumps(short), "--train", json.dumps(TRAIN)]
    result = subprocess.run(done, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "\n[tune] trial 0  complete  val_accuracy " in f"\n{result.stderr}"
    wrong = [*command, "--settings", json.dumps(short), "--train", '{"epoch": 3}']
    result = subprocess.run(wrong, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        "[tune] error: unknown setting 'train.epoch'; did you mean 'epochs'?\n"
    )


@pytest.mark.slow
def test_a_failed_trial_is_recorded_and_the_next_runs(
    transformed: Transformed, tmp_path: Path
) -> None:
    """One learning rate diverges; an error in all trials ends the search."""
    told: list[float] = []
    settings = {"space": {"learning_rate": [1e39, 0.02]}, "trials": 2, "seed": 2}
    found = run_study(
        transformed.records,
        transformed.graph,
        validate_settings(TuneSettings, settings),
        validate_settings(TrainSettings, TRAIN | {"epochs": 1}),
        tmp_path,
        on_better=lambda better: told.append(better.learning_rate),
    )
    assert found.learning_rate == 0.02
    assert told
    assert set(told) == {0.02}
    failed = [row for row in table(tmp_path) if row["state"] == "failed" or row["error"]]
    assert failed
    assert all("not a number" in row["error"] for row in failed)
    with pytest.raises(StepError, match=r"3 trials failed in a row, the last one: the loss is not"):
        run(transformed, tmp_path / "all", space={"learning_rate": [1e39, 1e40]}, trials=9)
