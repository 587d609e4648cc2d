"""`darkroom compare` shows two models side by side, on the same photographs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Finished

pytestmark = pytest.mark.slow


def test_a_run_is_compared_with_what_serves(
    digits_run: Finished, command: Callable[..., Finished], tmp_path: Path
) -> None:
    served = Path(digits_run.run["pushed"]).parent
    run = served.parent.parent / digits_run.run["run_id"]
    shown = command("compare", served, run, out=tmp_path)
    assert shown.code == 0, shown.error
    accuracy = f"{digits_run.run['metrics']['accuracy']:.3f}"
    assert f"accuracy {accuracy} beside {accuracy} of {served}: equal" in shown.output
    report = Path(shown.output.split()[-1])
    assert "Beside the champion" in report.read_text(encoding="utf-8")


def test_two_models_are_compared_on_given_photographs(
    digits_run: Finished, command: Callable[..., Finished], tmp_path: Path
) -> None:
    model = digits_run.run["artifacts"]["model"]
    nothing = command("compare", model, model, out=tmp_path)
    assert nothing.code == 2
    assert "give photographs to test on with --data" in nothing.error
    photographs = digits(tmp_path / "photographs")
    shown = command("compare", model, model, "--data", photographs, out=tmp_path / "runs")
    assert shown.code == 0, shown.error
    (verdict,) = tmp_path.glob("runs/compare-*/evaluation/verdict.json")
    found = json.loads(verdict.read_text())["comparison"]["overall"][0]
    assert found["count"] > 30  # but for near duplicates, all of them
    assert found["gain"] == 0


def digits(folder: Path) -> Path:
    """40 handwritten digits in label folders."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for number in range(40):
        file = folder / str(found.target[number]) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((found.images[number] * 255 / 16).astype(np.uint8)).save(file)
    return folder


def test_what_is_no_model_is_one_line(command: Callable[..., Finished], tmp_path: Path) -> None:
    shown = command("compare", "nothing", "nowhere", out=tmp_path)
    assert shown.code == 2
    (line,) = shown.error.splitlines()
    assert line.startswith("[darkroom] error: nothing is no run in")
