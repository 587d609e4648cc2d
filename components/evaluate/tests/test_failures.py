"""What cannot be measured ends in one clear error, and leaves nothing behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.tests.small_artifacts import run_evaluate, write_examples, write_model
from darkroom.artifacts.manifest import write_manifest
from darkroom.errors import SettingsError, StepError

pytestmark = pytest.mark.slow


def assert_refused(
    error: type[Exception], message: str, examples: Path, model: Path, output: Path, **settings: Any
) -> None:
    with pytest.raises(error) as caught:
        run_evaluate(examples, model, settings, output)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not output.exists() or list(output.iterdir()) == []


@pytest.fixture
def own_examples(digits_examples: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits_examples, tmp_path / "examples"))


def rewrite(artifact: Path, **changes: Any) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    write_manifest(artifact, manifest["kind"], {**manifest, **changes})


def test_a_missing_artifact(digits_examples: Path, digits_model: Path, tmp_path: Path) -> None:
    nowhere, output = tmp_path / "nowhere", tmp_path / "output"
    assert_refused(StepError, "does not exist", nowhere, digits_model, output)
    assert_refused(StepError, "does not exist", digits_examples, nowhere, output)
    assert_refused(StepError, "holds examples, not model", digits_examples, digits_examples, output)


def test_an_empty_test_split(own_examples: Path, digits_model: Path, tmp_path: Path) -> None:
    rewrite(own_examples, counts={"train": 300, "valid": 0, "test": 0})
    assert_refused(StepError, "the test split of", own_examples, digits_model, tmp_path / "output")


def test_an_unknown_slice(digits_examples: Path, digits_model: Path, tmp_path: Path) -> None:
    message = "no feature 'scaner' to slice by; did you mean 'scanner'?"
    output = tmp_path / "output"
    assert_refused(SettingsError, message, digits_examples, digits_model, output, slices=["scaner"])


def test_a_label_that_the_model_does_not_know(
    own_examples: Path, digits_model: Path, tmp_path: Path
) -> None:
    rewrite(own_examples, labels=["0", "eleven"])
    message = "the model does not know the label 'eleven'"
    assert_refused(StepError, message, own_examples, digits_model, tmp_path / "output")


def test_a_damaged_shard(own_examples: Path, digits_model: Path, tmp_path: Path) -> None:
    shard = sorted(own_examples.glob("test-*"))[1]
    shard.write_bytes(shard.read_bytes()[:-7])
    message = f"{shard} is damaged or cut short"
    assert_refused(StepError, message, own_examples, digits_model, tmp_path / "output")


def test_an_image_that_the_model_cannot_read(
    digit_rows: list[dict[str, Any]], digits_model: Path, tmp_path: Path
) -> None:
    broken = {**digit_rows[5], "image_bytes": b"no image", "image_path": "scans/broken.png"}
    rows = [*digit_rows[:5], broken, *digit_rows[6:10]]
    examples = write_examples(tmp_path / "examples", rows, {"scanner": "bytes", "room": "int"})
    message = "the model cannot read scans/broken.png"
    assert_refused(StepError, message, examples, digits_model, tmp_path / "output")


def test_a_threshold_that_two_labels_cannot_have(tmp_path: Path) -> None:
    row = {"image_bytes": b"", "image_path": "a.png", "label": "a"}
    examples = write_examples(tmp_path / "examples", [row, row | {"label": "b"}], {})
    weights, bias = np.zeros((64, 2), np.float32), np.zeros(2, np.float32)
    model = write_model(tmp_path / "model", ["a", "b"], weights, bias)
    message = "'evaluate.thresholds.top_3_accuracy' needs more than 3 labels; there are 2"
    thresholds = {"top_3_accuracy": 0.9}
    output = tmp_path / "output"
    assert_refused(SettingsError, message, examples, model, output, thresholds=thresholds)


def test_a_failure_keeps_the_evaluation_that_was_there(
    digits_examples: Path, digits_model: Path, tmp_path: Path
) -> None:
    _, evaluation, report = run_evaluate(digits_examples, digits_model, {}, tmp_path)
    before = {path: path.read_bytes() for path in [*evaluation.iterdir(), report]}
    with pytest.raises(SettingsError):
        run_evaluate(digits_examples, digits_model, {"slices": ["nothing"]}, tmp_path)
    after = {path: path.read_bytes() for path in [*evaluation.iterdir(), report]}
    assert after == before


def test_a_wrong_metric_ends_the_command_with_code_2(tmp_path: Path) -> None:
    names = ("examples", "model", "evaluation", "report")
    paths = [part for name in names for part in (f"--{name}", str(tmp_path / name))]
    settings = json.dumps({"thresholds": {"acuracy": 0.9}})
    command = [sys.executable, "-m", "components.evaluate", *paths, "--settings", settings]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "unknown metric 'acuracy'; did you mean 'accuracy'?" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
