"""The command answers fast, in one line, with the right exit code."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Finished

pytestmark = pytest.mark.slow

Command = Callable[..., Finished]


def test_help_and_settings_errors_import_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from pipeline.cli.main import application\n"
        "from pipeline.config import load_config\n"
        "load_config('configs/flowers.yaml')\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'kfp', 'kserve', 'numpy', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("verb", ["run", "tune", "compile", "labels", "serve", "rollback"])
def test_every_verb_has_help_with_an_example(command: Command, verb: str) -> None:
    finished = command(verb, "--help")
    assert finished.code == 0
    assert f"Example: darkroom {verb} " in finished.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "configs/none.yaml"], "cannot read settings file configs/none.yaml"),
        (["run", "configs/digits.yaml", "--set", "train.epoch=3"], "did you mean 'epochs'?"),
        (["run", "configs/digits.yaml", "--set", "train.epochs=x"], "setting 'train.epochs'"),
        (["run", "configs/digits.yaml", "--data", "/none"], "data path /none does not exist"),
        (["compile", "configs/digits.yaml", "--target", "k8s", "-o", "x.yaml"], "--target k8s"),
        (["compile", "configs/digits.yaml", "--target", "kfp", "-o", "x.zip"], ".yaml"),
        (["serve", "/none"], "/none"),
        (["rollback", "/none"], "/none does not exist"),
        (["labels", "/none", "-o", "x.csv"], "/none"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    command: Command, arguments: list[str], message: str, tmp_path: Path
) -> None:
    out = tmp_path / "runs" if arguments[0] == "run" else None
    finished = command(*arguments, out=out)
    assert finished.code == 2
    assert message in finished.error
    assert finished.error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_failed_step_is_one_line_and_exit_code_1(command: Command, tmp_path: Path) -> None:
    (tmp_path / "photographs" / "rose").mkdir(parents=True)
    (tmp_path / "photographs" / "rose" / "1.jpg").write_text("no picture")
    finished = command(
        "run", "configs/digits.yaml", "--data", tmp_path / "photographs", out=tmp_path / "runs"
    )
    assert finished.code == 1
    (line,) = finished.error.splitlines()
    assert line.startswith("[darkroom] error: step ingest failed: no usable image: all 1 rows")
    assert finished.run["status"] == "failed"
    assert finished.run["pushed"] is None
    statuses = [(step["name"], step["status"]) for step in finished.run["steps"]]
    assert statuses == [("ingest", "failed")] + [
        (name, "not run") for name in ("transform", "train", "evaluate", "push")
    ]
    assert not list((tmp_path / "runs").glob("*/*/*/examples"))
