"""Changes that people make touch no more than the plan says: each is made here in a copy of the
checkout, by the files that it needs and nothing else, and then used.

`CONTRIBUTING.md` tells the same step by step.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.toys import BACKBONE, METRIC, PUSH_TARGET, ROW, RUN_TARGET, STEP

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with a toy of everything in it."""
    root = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    for folder in ("darkroom", "components", "pipeline", "configs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    write(root / "darkroom/backbones/toy.py", BACKBONE)
    write(root / "darkroom/metrics/toy.py", METRIC)
    write(root / "components/push/targets/toy.py", PUSH_TARGET)
    for name, text in STEP.items():
        write(root / "components/toy" / name, text)
    replace(
        root / "pipeline/steps.py", '    Step(\n        "push",', ROW + '    Step(\n        "push",'
    )
    write(root / "pipeline/targets/toy/__init__.py", "")
    write(root / "pipeline/targets/toy/target.py", RUN_TARGET)
    replace(
        root / "darkroom/artifacts/rejected.py",
        '    NO_LABEL = "no_label"',
        '    UNLUCKY = "unlucky"\n    NO_LABEL = "no_label"',
    )
    replace(
        root / "darkroom/sources/storage.py",
        "    try:\n        return",
        '    if location.endswith("/13.png"):\n'
        '        raise RejectedError(Reason.UNLUCKY, "thirteen")\n'
        "    try:\n        return",
    )
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.lstrip("\n"))


def replace(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1, path
    path.write_text(text.replace(before, after))


def darkroom(checkout: Path, *arguments: str | Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "pipeline.cli.main", *map(str, arguments)]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=checkout, env=environment
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_run_uses_a_new_backbone_metric_step_and_push_target(
    checkout: Path, tmp_path: Path
) -> None:
    destination = f"toy://{tmp_path}/pushed"
    settings = {
        "train.backbone": "toy",
        "train.epochs": "1",
        "evaluate.thresholds": "{labels_predicted: 1}",
        "toy.greeting": "well",
        "push.destination": destination,
    }
    changes = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    darkroom(checkout, "run", "configs/digits.yaml", "--out", tmp_path / "runs", *changes)
    (file,) = (tmp_path / "runs").glob("*/run.json")
    run = json.loads(file.read_text())
    names = ["ingest", "transform", "train", "champion", "evaluate", "toy", "push"]
    assert [step["name"] for step in run["steps"]] == names
    assert 1 <= run["metrics"]["labels_predicted"] <= 10
    note = json.loads((Path(run["artifacts"]["note"]) / "manifest.json").read_text())
    assert note["said"] == "well 10 labels"
    model = json.loads((Path(run["artifacts"]["model"]) / "manifest.json").read_text())
    assert run["pushed"] == f"{destination}#1"
    assert (tmp_path / "pushed").read_text() == model["digest"] + "\n"
    report = (file.parent / "report.html").read_text()
    assert "Labels predicted" in report
    # A second push of the same; the command asks the target, and knows of no folder.
    with (tmp_path / "pushed").open("a") as pushed:
        pushed.write("other\n")
    said = darkroom(checkout, "rollback", destination)
    assert said == "version 2 rolled back; version 1 serves\n"


def test_clusters_run_a_new_step_and_a_new_place_compiles(checkout: Path, tmp_path: Path) -> None:
    for target in ("kfp", "vertex", "toy"):
        file = tmp_path / f"{target}.yaml"
        darkroom(checkout, "compile", "configs/digits.yaml", "--target", target, "-o", file)
        text = file.read_text()
        assert "exec-toy" in text
        assert "image: darkroom-toy:0.1.0" in text


def test_a_new_reject_reason_is_raised_and_counted(checkout: Path, tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    for number in range(60):
        file = tmp_path / "flowers" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    out = {name: tmp_path / name for name in ("examples", "rejected", "statistics")}
    settings = {"near_duplicate_distance": -1}
    command = [sys.executable, "-m", "components.ingest", "--data", tmp_path / "flowers"]
    command += ["--settings", json.dumps(settings)]
    command += [part for name, path in out.items() for part in (f"--{name}", path)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    result = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        check=False,
        cwd=checkout,
        env=environment,
    )
    manifest = out["examples"] / "manifest.json"
    assert manifest.exists(), result.stderr
    assert json.loads(manifest.read_text())["rejected"] == {"unlucky": 1}
    assert "unlucky" in (out["statistics"] / "card.html").read_text()
