"""The main job on scikit-learn's digits, end to end, as the README's first command runs it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from darkroom.artifacts.evaluation import read_evaluation
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.manifest import folder_digest
from darkroom.artifacts.predictions import read_prediction_rows
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records
from tests.conftest import Finished

pytestmark = pytest.mark.slow


def test_the_run_reaches_what_the_config_says(digits_run: Finished) -> None:
    assert digits_run.code == 0, digits_run.output + digits_run.error
    run = digits_run.run
    assert run["status"] == "succeeded"
    assert run["blessed"] is True
    assert run["metrics"]["accuracy"] >= 0.96
    assert sum(run["examples"].values()) == 1797
    assert run["rejected"] == {}
    assert [(s["name"], s["status"]) for s in run["steps"]] == [
        (name, "succeeded")
        for name in ("ingest", "transform", "train", "champion", "evaluate", "push")
    ]
    assert all(step["seconds"] > 0 for step in run["steps"])
    assert sum(step["seconds"] for step in run["steps"]) < run["seconds"]
    named = {"examples", "rejected", "statistics", "transform_graph", "model", "evaluation"}
    assert named | {"report"} <= set(run["artifacts"])
    for path in run["artifacts"].values():
        assert Path(path).exists()


def test_what_is_served_is_what_was_trained(digits_run: Finished) -> None:
    version = Path(digits_run.run["pushed"])
    assert version.name == "1"
    assert (version / "saved_model.pb").is_file()
    assert folder_digest(version) == folder_digest(digits_run.artifact("model"))
    assert sorted(path.name for path in version.parent.iterdir()) == ["1", "push_log"]


def test_plain_tensorflow_gives_the_evaluations_probabilities(
    digits_run: Finished, tmp_path: Path
) -> None:
    """In a process that can import neither Keras nor tf.transform nor Darkroom."""
    examples = read_examples(digits_run.artifact("examples"))
    records = [parsed_example(r) for s in examples.shards("test") for r in read_records(s)]
    for number, record in enumerate(records):
        (tmp_path / f"{number:05d}").write_bytes(record["image_bytes"][0])
    program = (
        "import json, sys, pathlib\n"
        "for name in ('keras', 'tensorflow_transform', 'tfx_bsl', 'components', 'pipeline'):\n"
        "    sys.modules[name] = None\n"
        "import tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "images = [p.read_bytes() for p in sorted(pathlib.Path(sys.argv[2]).iterdir())]\n"
        "answer = model.signatures['serving_default'](image_bytes=tf.constant(images))\n"
        "print(json.dumps(answer['probabilities'].numpy().tolist()))\n"
    )
    arguments = [digits_run.run["pushed"], str(tmp_path)]
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    served = np.array(json.loads(result.stdout))
    evaluation = read_evaluation(digits_run.artifact("evaluation"))
    stored = {
        row["image_id"]: row["probabilities"] for row in read_prediction_rows(evaluation.folder)
    }
    evaluated = np.array([stored[record["image_id"][0].decode()] for record in records])
    assert len(evaluated) == digits_run.run["examples"]["test"]
    assert np.abs(served - evaluated).max() < 1e-5
    labels = np.array([examples.labels.index(r["label"][0].decode()) for r in records])
    accuracy = (served.argmax(1) == labels).mean()
    assert accuracy == pytest.approx(digits_run.run["metrics"]["accuracy"])


def test_the_report_stands_alone(digits_run: Finished) -> None:
    html = digits_run.artifact("report").read_text(encoding="utf-8")
    html = html.partition('<script type="module">')[0]  # test_report_in_browser.py asks of it
    assert not re.findall(r"""(?:src|href)=["']?(?!data:|#)[^"'\s>]+""", html)
    assert "blessed" in html.lower()


def test_the_terminal_shows_the_steps_and_where_to_look(digits_run: Finished) -> None:
    for step in ("ingest", "transform", "train", "champion", "evaluate", "push"):
        assert f"\n[{step}] " in digits_run.output
    assert "executorInput" not in digits_run.output
    assert digits_run.error == ""
    report = re.search(r"report +(\S+)", digits_run.output)
    assert report is not None
    assert Path(report[1]).read_text() == digits_run.artifact("report").read_text()


def test_versions_go_up_and_can_be_rolled_back(
    digits_run: Finished, command: Callable[..., Finished], tmp_path: Path
) -> None:
    """Pushes the same model under another digest, then takes it back."""
    import shutil

    destination = tmp_path / "served"
    shutil.copytree(Path(digits_run.run["pushed"]).parent, destination)
    shutil.copytree(destination / "1", destination / "2")
    back = command("rollback", destination)
    assert (back.code, back.output) == (0, "version 2 rolled back; version 1 serves\n")
    again = command("rollback", destination)
    assert again.code == 1
    assert "none to go back to" in again.error
