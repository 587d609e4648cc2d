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

pytestmark = pytest.mark.slow

BACKBONE = '''
"""A toy backbone."""

from typing import Any

from darkroom.backbones.backbone import from_scratch


def toy(image_size: tuple[int, int]) -> Any:
    """One convolution."""
    import keras

    inputs = keras.Input((*image_size, 3))
    return keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs), name="toy")


BACKBONES = (from_scratch("toy", toy, minimum_side=4),)
'''

METRIC = '''
"""A toy metric."""

from components.evaluate.metrics.metric import Metric

LABELS_PREDICTED = Metric(
    name="labels_predicted",
    title="Labels predicted",
    meaning="Number of labels that any image is given.",
    range=(0, 1000),
    single_label=lambda slice_: float((slice_.confusion.sum(axis=0) > 0).sum()),
)
'''

PUSH_TARGET = '''
"""A toy push target: a file that names the model."""

from pathlib import Path

from components.push.targets.target import PushedVersion


class ToyTarget:
    """A file of digests, a line a version."""

    FORM = "toy:///FILE"

    def __init__(self, destination):
        self._file = Path(destination.removeprefix("toy://"))

    @classmethod
    def accepts(cls, destination):
        """By its scheme."""
        return destination.startswith("toy://")

    def publish(self, model, record):
        """Appends the digest."""
        with self._file.open("a") as file:
            file.write(model.manifest["digest"] + "\\n")
        return self.current()

    def current(self):
        """The last line."""
        return next(iter(self.versions()), None)

    def versions(self):
        """All lines, the last first."""
        lines = self._file.read_text().split() if self._file.exists() else []
        found = [
            PushedVersion(n, f"toy://{self._file}#{n}", {"digest": digest})
            for n, digest in enumerate(lines, 1)
        ]
        return found[::-1]

    def traffic(self):
        """All of it for the last."""
        return {len(self.versions()): 100}

    def rollback(self):
        """Removes the last line."""
        last, before = self.versions()[:2]
        lines = self._file.read_text().split()[:-1]
        self._file.write_text("\\n".join(lines) + "\\n")
        return last, before


TARGET = ToyTarget
'''

STEP = {
    "__init__.py": "",
    "settings.py": '''
"""Settings of the toy step."""

from darkroom.settings import Settings


class ToySettings(Settings):
    """What the toy step says."""

    greeting: str = "hello"
    """Its first word."""
''',
    "toy.py": '''
"""The toy step."""

from pathlib import Path

from components.toy.settings import ToySettings
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.artifacts.manifest import atomic_artifact, write_manifest


def toy(evaluation: Path, settings: ToySettings, *, note: Path) -> str:
    """Says how good a model is.

    Args:
        evaluation: What evaluate wrote.
        settings: What to say.
        note: Output: what was said.
    """
    said = f"{settings.greeting} {len(read_evaluation(evaluation).labels)} labels"
    with atomic_artifact(note) as temporary:
        write_manifest(temporary, "note", {"said": said})
    return said
''',
    "step.py": '''
"""The toy step as a Kubeflow component."""

from kfp.dsl import Artifact, Input, Output


def toy(
    evaluation: Input[Artifact],
    settings: dict,
    note: Output[Artifact],
) -> str:
    """Says how good a model is."""
    arguments = locals().copy()
    from components.toy.toy import toy
    from darkroom.runtime.run_step import run_step

    return run_step(toy, **arguments)
''',
}
ROW = """    Step(
        "toy",
        "components.toy.step:toy",
        "components.toy.settings:ToySettings",
        about="says how good a model is",
    ),
"""

RUN_TARGET = '''
"""A toy place to run."""

from pipeline.targets.local.target import LocalTarget


class ToyTarget(LocalTarget):
    """Compiles as it is."""

    name = "toy"
    is_cluster = True


TARGET = ToyTarget()
'''


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with a toy of everything in it."""
    root = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    for folder in ("darkroom", "components", "pipeline", "configs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignored)
    write(root / "darkroom/backbones/toy.py", BACKBONE)
    write(root / "components/evaluate/metrics/toy.py", METRIC)
    write(root / "components/push/targets/toy.py", PUSH_TARGET)
    for name, text in STEP.items():
        write(root / "components/toy" / name, text)
    replace(
        root / "pipeline/steps.py", '    Step(\n        "push",', ROW + '    Step(\n        "push",'
    )
    write(root / "pipeline/targets/toy/__init__.py", "")
    write(root / "pipeline/targets/toy/target.py", RUN_TARGET)
    replace(
        root / "components/ingest/rejection.py",
        '    NO_LABEL = "no_label"',
        '    UNLUCKY = "unlucky"\n    NO_LABEL = "no_label"',
    )
    replace(
        root / "components/ingest/images/photograph.py",
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
    names = ["ingest", "transform", "train", "evaluate", "toy", "push"]
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
