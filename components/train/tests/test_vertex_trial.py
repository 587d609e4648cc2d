"""One trial of a Vertex tuning job: its options, and its reports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.train.tests.conftest import Transformed

TRAIN = {"backbone": "linear", "weights": "none", "batch_size": 16, "epochs": 3}


def vertex_trial(
    transformed: Transformed, tmp_path: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components.train.tuning.vertex_trial"]
    command += ["--transformed-examples", str(transformed.records)]
    command += ["--transform-graph", str(transformed.graph)]
    command += ["--settings", json.dumps(TRAIN), "--metric", "val_loss", *options]
    environment = os.environ | {
        "CLOUD_ML_HP_METRIC_FILE": str(tmp_path / "reports" / "output.metrics"),
        "CLOUD_ML_TRIAL_ID": "7",
        "AIP_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
    }
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_a_trial_on_vertex_reports_as_hypertune_does(
    transformed: Transformed, tmp_path: Path
) -> None:
    finished = vertex_trial(
        transformed, tmp_path, "--learning_rate=0.02", "--epochs=2.0", "--augmentation.flip=true"
    )
    assert finished.returncode == 0, finished.stderr
    lines = (tmp_path / "reports" / "output.metrics").read_text().splitlines()
    reports = [json.loads(line) for line in lines]
    assert [report["global_step"] for report in reports] == ["1", "2"]
    for report in reports:
        assert set(report) == {"timestamp", "trial", "global_step", "val_loss"}
        assert report["trial"] == "7"
        assert isinstance(report["timestamp"], float)
        assert float(report["val_loss"]) >= 0
    assert (tmp_path / "checkpoints" / "best.weights.h5").is_file()


@pytest.mark.slow
def test_a_wrong_trial_on_vertex_is_one_line(transformed: Transformed, tmp_path: Path) -> None:
    finished = vertex_trial(transformed, tmp_path, "--learning_rat=0.02")
    assert finished.returncode == 2
    assert finished.stderr.splitlines() == [
        "[trial] error: unknown setting 'learning_rat'; did you mean 'learning_rate'?"
    ]
