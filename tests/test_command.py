"""The command answers fast, in one line, with the right exit code."""

import subprocess
import sys
import tomllib
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


@pytest.mark.parametrize(
    "verb", ["run", "tune", "compile", "labels", "serve", "predict", "monitor", "rollback"]
)
def test_every_verb_has_help_with_an_example(command: Command, verb: str) -> None:
    finished = command(verb, "--help")
    assert finished.code == 0
    assert f"Example: darkroom {verb} " in finished.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "configs/none.yaml"], "cannot read settings file configs/none.yaml"),
        (["run", "configs/digits.yaml", "--set", "train.epoch=3"], "did you mean 'epochs'?"),
        (["run", "configs/digits.yaml", "--set", "trainn.epochs=3"], "did you mean 'train'?"),
        (["schedules", "configs/digits.yaml", "--target", "locall"], "did you mean 'local'?"),
        (["runs", "configs/digits.yaml", "--target", "vertx"], "did you mean 'vertex'?"),
        (["run", "configs/digits.yaml", "--set", "train.epochs=x"], "setting 'train.epochs'"),
        (["run", "configs/digits.yaml", "--data", "/none"], "data path /none does not exist"),
        (["compile", "configs/digits.yaml", "--target", "k8s", "-o", "x.yaml"], "--target k8s"),
        (["compile", "configs/digits.yaml", "--target", "kfp", "-o", "x.zip"], ".yaml"),
        (["serve", "/none"], "/none"),
        (["rollback", "/none"], "there is no model at /none"),
        (["labels", "/none", "-o", "x.csv"], "/none"),
        (["monitor", "configs/digits.yaml"], "the config has no section 'monitor'"),
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
        (name, "not run") for name in ("transform", "train", "champion", "evaluate", "push")
    ]
    assert not list((tmp_path / "runs").glob("*/*/*/examples"))


@pytest.mark.parametrize(
    ("missing", "arguments", "group"),
    [
        ("kfp", ["compile", "configs/digits.yaml", "--target", "kfp", "-o", "x.yaml"], "pipeline"),
        ("kfp", ["run", "configs/digits.yaml"], "dev"),
        ("rich", ["lineage", "MODEL"], "pipeline"),
        ("uvicorn", ["serve", "MODEL"], "serve"),
        ("kserve", ["serve", "MODEL"], "serve"),
    ],
)
def test_a_verb_whose_packages_are_missing_names_their_group(
    missing: str, arguments: list[str], group: str, tmp_path: Path
) -> None:
    model = tmp_path / "1"
    model.mkdir()
    (model / "saved_model.pb").write_bytes(b"graph")
    (model / "manifest.json").write_text('{"kind": "model", "format_version": 1}')
    given = [str(tmp_path) if word == "MODEL" else word for word in arguments]
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = {['darkroom', *given]!r}\n"
        "from pipeline.cli.main import main; main()"
    )
    # `None` in sys.modules is how Python says that a module is not there.
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode == 2, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert f"needs packages that are not installed ({missing}): uv sync --group {group}" in line


def test_every_group_that_is_named_is_one() -> None:
    from pipeline.cli.options import _GROUPS

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(_GROUPS.values()) <= set(project["dependency-groups"])


def test_a_missing_module_of_our_own_keeps_its_traceback() -> None:
    code = (
        "import sys; sys.modules['pipeline.config'] = None\n"
        "sys.argv = ['darkroom', 'run', 'configs/digits.yaml']\n"
        "from pipeline.cli.main import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr
