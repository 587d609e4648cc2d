"""A training that is killed at any moment and resumed gives the result of an uninterrupted one."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.settings import TrainSettings
from components.train.tests.conftest import Transformed
from components.train.train import train
from darkroom.errors import SettingsError
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow

KILLED_AT = (
    # In the middle of a checkpoint's write, after three complete ones.
    "import numpy; savez = numpy.savez; calls = []\n"
    "def torn(file, **arrays):\n"
    "    calls.append(1)\n"
    "    if len(calls) == 4:\n"
    "        file.write(b'PK torn'); file.flush(); kill()\n"
    "    savez(file, **arrays)\n"
    "numpy.savez = torn\n",
    # In the middle of an epoch, between two checkpoints.
    "from components.train.loop.steps import StepRunner; steps = StepRunner.train; calls = []\n"
    "def taken(*arguments):\n"
    "    calls.append(1)\n"
    "    return kill() if len(calls) == 4 else steps(*arguments)\n"
    "StepRunner.train = taken\n",
    # After the checkpoint of an epoch, before its weights are kept as the best.
    "from components.train.loop.checkpoint import CheckpointManager\n"
    "CheckpointManager.save_best = lambda manager: kill()\n",
    # When all epochs are done.
    "import components.train.export.saved_model as e\ne.export = lambda *arguments: kill()\n",
)

PROGRAM = (
    "import json, os, signal, sys\n"
    "from pathlib import Path\n"
    "from components.train.settings import TrainSettings\n"
    "from components.train.train import train\n"
    "def kill():\n"
    "    os.kill(os.getpid(), signal.SIGKILL)\n"
    "{moment}"
    "records, graph, out, settings = sys.argv[1:]\n"
    "train(Path(records), Path(graph), TrainSettings(**json.loads(settings)),\n"
    "    model=Path(out) / 'model', checkpoints=Path(out) / 'checkpoints')\n"
)


@pytest.fixture(scope="module")
def settings(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two phases, with everything that is random or kept between steps."""
    from components.train.model.network import build_network
    from darkroom.artifacts.transformed import read_transform_graph

    values = {
        "backbone": "small_cnn",
        "batch_size": 16,
        "epochs": 2,
        "fine_tune_epochs": 3,
        "fine_tune_batch_norm": "trained",
        "depth_decay": 0.5,
        "checkpoint_steps": 2,
        "dropout": 0.2,
        "class_weights": "balanced",
        "weight_decay": 0.01,
        "l2": 0.001,
        "augmentation": {"flip": True, "rotation": 0.1},
    }
    weights = tmp_path_factory.mktemp("backbone") / "backbone.weights.h5"
    scratch = TrainSettings.model_validate(values | {"weights": "none"})
    graph = read_transform_graph(transformed.graph)
    build_network(scratch, graph, "none").backbone.save_weights(weights)
    return values | {"weights": str(weights)}


def run(transformed: Transformed, out: Path, settings: dict[str, Any]) -> Path:
    train(
        transformed.records,
        transformed.graph,
        TrainSettings.model_validate(settings),
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    return out


def start(
    transformed: Transformed, out: Path, settings: dict[str, Any], moment: str = ""
) -> subprocess.Popen[str]:
    arguments = [transformed.records, transformed.graph, out, json.dumps(settings)]
    command = [sys.executable, "-c", PROGRAM.format(moment=moment), *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def uninterrupted(
    transformed: Transformed, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return run(transformed, tmp_path_factory.mktemp("uninterrupted"), settings)


def history(out: Path) -> list[dict[str, Any]]:
    epochs = json.loads((out / "model" / "history.json").read_text())["epochs"]
    return [{name: v for name, v in epoch.items() if name != "seconds"} for epoch in epochs]


def best_weights(out: Path) -> list[Any]:
    import h5py

    found: list[Any] = []
    with h5py.File(out / "checkpoints" / "best.weights.h5") as file:
        file.visititems(lambda _, item: found.append(item[()]) if hasattr(item, "shape") else None)
    return found


def test_killed_again_and_again_it_ends_bit_for_bit_the_same(
    transformed: Transformed, settings: dict[str, Any], uninterrupted: Path, tmp_path: Path
) -> None:
    for moment in KILLED_AT:
        process = start(transformed, tmp_path, settings, moment)
        _, error = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, error
        assert not (tmp_path / "model").exists()
    run(transformed, tmp_path, settings)
    assert [entry["epoch"] for entry in history(tmp_path)] == [1, 2, 3, 4, 5]
    assert history(tmp_path) == history(uninterrupted)
    for ours, theirs in zip(best_weights(tmp_path), best_weights(uninterrupted), strict=True):
        assert np.array_equal(ours, theirs)
    left = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert left == ["best.weights.h5"]


def test_a_preemption_saves_first(
    transformed: Transformed, settings: dict[str, Any], uninterrupted: Path, tmp_path: Path
) -> None:
    """With rare checkpoints, so that the one found is the preemption's."""
    far = settings | {"checkpoint_steps": None}
    slow = (
        "import time; from components.train.loop.steps import StepRunner\n"
        "steps = StepRunner.train\n"
        "def slowed(*arguments):\n"
        "    time.sleep(0.3)\n"
        "    print('step', file=sys.stderr, flush=True)\n"
        "    return steps(*arguments)\n"
        "StepRunner.train = slowed\n"
    )
    process = start(transformed, tmp_path, far, slow)
    assert process.stderr is not None
    while process.stderr.readline() != "step\n":
        assert process.poll() is None
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "StepError: asked to end (SIGTERM) at step" in error
    assert "run the same again to resume" in error
    assert (tmp_path / "checkpoints" / "training.npz").exists()
    run(transformed, tmp_path, far)
    assert history(tmp_path) == history(uninterrupted)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.fixture(scope="module")
def halted(
    transformed: Transformed, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a training that ended early, with its checkpoint."""
    from components.train.loop.steps import StepRunner

    folder = tmp_path_factory.mktemp("halted")

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepRunner, "evaluate", broken)
        with pytest.raises(KeyboardInterrupt):
            run(transformed, folder, settings)
    return folder


def restarted(log: pytest.LogCaptureFixture, out: Path, reason: str) -> None:
    """A training began from the start, and keeps beside what it could not use."""
    assert reason in log.text
    assert "trains from the start" in log.text
    assert (out / "checkpoints" / "unused.training.npz").is_file()
    assert not (out / "checkpoints" / "training.npz").exists()


@pytest.mark.parametrize("damage", ["half", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_set_aside(
    transformed: Transformed,
    settings: dict[str, Any],
    uninterrupted: Path,
    halted: Path,
    tmp_path: Path,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A scheduled run continues; nobody has to delete the file."""
    content = bytearray((halted / "checkpoints" / "training.npz").read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    changed: dict[str, bytes | bytearray] = {
        "half": content[: len(content) // 2],
        "empty": b"",
        "text": b"no checkpoint",
    }
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "training.npz").write_bytes(changed.get(damage, content))
    run(transformed, tmp_path, settings)
    restarted(caplog, tmp_path, "training.npz is damaged")
    assert history(tmp_path) == history(uninterrupted)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"learning_rate": 0.5}, "settings.learning_rate 0.001 there, 0.5 here"),
        ({"augmentation": {"flip": True}}, "settings.augmentation.rotation 0.1 there, 0.0 here"),
    ],
)
def test_a_checkpoint_of_other_settings_is_set_aside(
    transformed: Transformed,
    settings: dict[str, Any],
    halted: Path,
    tmp_path: Path,
    change: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(halted / "checkpoints", tmp_path / "checkpoints")
    run(transformed, tmp_path, settings | change)
    restarted(caplog, tmp_path, f"belongs to another training ({reason})")


def test_a_checkpoint_of_other_photographs_is_set_aside(
    transformed: Transformed,
    settings: dict[str, Any],
    halted: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(halted / "checkpoints", tmp_path / "checkpoints")
    others = tmp_path / "records"
    shutil.copytree(transformed.records, others)
    images = transformed.pixels["valid"][::-1]
    with (others / "valid-00000-of-00001.tfrecord").open("wb") as file:
        for image, index in zip(images, transformed.indices["valid"], strict=True):
            record = {"image": image.tobytes(), "label_index": int(index)}
            write_record(file, serialized_example(record))
    train(
        others,
        transformed.graph,
        TrainSettings.model_validate(settings),
        model=tmp_path / "model",
        checkpoints=tmp_path / "checkpoints",
    )
    restarted(caplog, tmp_path, "belongs to another training (data")


def test_another_place_may_go_on(
    transformed: Transformed, settings: dict[str, Any], uninterrupted: Path, halted: Path
) -> None:
    """In a folder that outlasts the attempt; the strategy is not part of the identity."""
    changed = {"checkpoints": str(halted / "checkpoints"), "strategy": "one_device"}
    out = halted / "second attempt"
    run(transformed, out, settings | changed)
    assert history(out) == history(uninterrupted)
    assert (out / "checkpoints" / "best.weights.h5").is_file()
    assert not (halted / "checkpoints" / "training.npz").exists()


def test_a_bucket_that_is_not_mounted_is_named(
    transformed: Transformed, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"train.checkpoints: /gcs/no-such-bucket is not mount"):
        run(transformed, tmp_path, settings | {"checkpoints": "gs://no-such-bucket/run"})
