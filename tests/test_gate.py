"""A model that is not good enough is not pushed: here, and from the files that clusters run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.artifacts.manifest import read_manifest
from darkroom.artifacts.model_repository import find_versions
from darkroom.runtime.step_record import STEP_RECORDS_VARIABLE, read_step_records
from tests.conftest import Finished

pytestmark = pytest.mark.slow

QUICK = ["--set", "train.epochs=1"]


def test_an_unblessed_model_is_not_pushed_here(
    command: Callable[..., Finished], tmp_path: Path
) -> None:
    threshold = "evaluate.thresholds={accuracy: 1}"
    finished = command(
        "run", "configs/digits.yaml", *QUICK, "--set", threshold, out=tmp_path / "runs"
    )
    assert finished.code == 1
    assert finished.run["status"] == "succeeded"
    assert finished.run["blessed"] is False
    assert finished.run["pushed"] is None
    assert finished.run["steps"][-1] == {"name": "push", "seconds": 0.0, "status": "skipped"}
    assert not (tmp_path / "runs" / "served").exists()
    (line,) = finished.error.splitlines()
    assert "not blessed, so not pushed: accuracy" in line
    assert "below 1" in line


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    monkeypatch.setenv(STEP_RECORDS_VARIABLE, str(folder))
    return folder


def compiled_arguments(file: Path) -> dict[str, Any]:
    """The parameters' defaults, as a compiled file holds them."""
    document = next(yaml.safe_load_all(file.read_text()))
    parameters = document["root"]["inputDefinitions"]["parameters"]
    defaults = {name: parameter["defaultValue"] for name, parameter in parameters.items()}
    return dict(json.loads(json.dumps(defaults)))


def test_only_a_model_that_is_no_worse_takes_the_champions_place_here(
    command: Callable[..., Finished], tmp_path: Path
) -> None:
    """The first model is half trained; one that is worse, a better one, and an equal one."""
    out = tmp_path / "runs"

    def run(*changes: str) -> Finished:
        options = [part for change in changes for part in ("--set", change)]
        no_bound = ("--set", "evaluate.thresholds={accuracy: 0.1}", "--set", "push.try_server=no")
        return command("run", "configs/digits.yaml", *no_bound, *options, out=out)

    def served() -> list[str]:
        return sorted(version.name for version in find_versions(out / "served" / "digits"))

    first = run("train.epochs=1")
    assert first.code == 0, first.error
    assert "[champion] none" in first.output
    worse = run("train.epochs=1", "train.learning_rate=0.0001")
    assert worse.code == 1
    assert "not blessed, so not pushed: accuracy" in worse.error
    assert "of version 1 of" in worse.error
    assert worse.run["steps"][-1]["status"] == "skipped"
    assert served() == ["1"]
    better = run("train.epochs=6", "evaluate.against_baseline={accuracy: {better_by: 0}}")
    assert better.code == 0, better.error
    assert served() == ["1", "2"]
    nearly = run("train.epochs=7", "evaluate.against_baseline={accuracy: {better_by: 0}}")
    assert nearly.code == 1
    assert "of version 2 of" in nearly.error
    assert served() == ["1", "2"]
    equal = run("train.epochs=7")
    assert equal.code == 0, equal.error
    assert served() == ["1", "2", "3"]


@pytest.mark.parametrize("target", ["kfp", "vertex"])
@pytest.mark.filterwarnings("ignore:You may be attemping to run a task")
def test_a_compiled_file_runs_with_other_settings_and_keeps_the_gate(
    command: Callable[..., Finished], tmp_path: Path, journal: Path, target: str
) -> None:
    """Loads the file back with kfp and runs it, with settings that it was not compiled with."""
    from kfp import components, local

    file = tmp_path / "pipeline.yaml"
    compiled = command("compile", "configs/digits.yaml", "--target", target, "-o", file)
    assert compiled.code == 0, compiled.error
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    pipeline = components.load_component_from_file(str(file))

    def run(**train: Any) -> dict[str, Any]:
        arguments = compiled_arguments(file)
        arguments["train"] |= train
        arguments["evaluate"]["thresholds"] = {"accuracy": 0.1}
        arguments["push"] |= {"destination": str(tmp_path / "served"), "try_server": False}
        for record in journal.iterdir():
            record.unlink()
        pipeline(**arguments)
        return {entry["name"]: entry for entry in read_step_records(journal)}

    def served() -> list[str]:
        return sorted(version.name for version in find_versions(tmp_path / "served"))

    first = run(epochs=2)
    assert (
        read_manifest(Path(first["train"]["artifacts"]["model"]), "model")["settings"]["epochs"]
        == 2
    )
    assert first["evaluate"]["result"] == "blessed"
    worse = run(epochs=1, learning_rate=0.0001)
    assert worse["evaluate"]["result"] == "not blessed"
    assert "push" not in worse
    assert served() == ["1"]
    if target == "kfp":  # a run takes a while, and the graph is the same
        assert run(epochs=6)["evaluate"]["result"] == "blessed"
        assert served() == ["1", "2"]
