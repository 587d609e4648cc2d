"""Several processes that train one network, as TF_CONFIG describes them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.train.distribution.strategy import WorkerGroup, build_strategy, read_worker_group
from components.train.settings import TrainSettings
from components.train.tests.conftest import Transformed
from components.train.train import train
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow

SETTINGS = {
    "backbone": "small_cnn",
    "weights": "none",
    "epochs": 2,
    "batch_size": 24,
    "learning_rate": 0.003,
    "checkpoint_steps": 2,
    "dropout": 0.1,
}

PROGRAM = (
    "import json, sys, time\n"
    "from pathlib import Path\n"
    "import components.train.loop.trainer as trainer\n"
    "from components.train.settings import TrainSettings\n"
    "from darkroom.runtime.run_step import run_step\n"
    "from components.train.train import train\n"
    "records, graph, out, settings, dump, pause = sys.argv[1:]\n"
    "run = trainer.Trainer.run\n"
    "def dumped(training, *arguments):\n"
    "    history = run(training, *arguments)\n"
    "    import numpy as np\n"
    "    values = [weight.numpy() for weight in training._network.model.weights]\n"
    "    np.savez(dump, *values, losses=[e['loss'] for e in history['epochs']])\n"
    "    return history\n"
    "trainer.Trainer.run = dumped\n"
    "steps = trainer.StepRunner.train\n"
    "def slowed(*arguments):\n"
    "    time.sleep(float(pause))\n"
    "    print('step', file=sys.stderr, flush=True)\n"
    "    return steps(*arguments)\n"
    "trainer.StepRunner.train = slowed\n"
    "run_step(train, transformed_examples=records, transform_graph=graph,\n"
    "    settings=json.loads(settings), model=out + '/model', checkpoints=out + '/checkpoints')\n"
)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


def start(
    transformed: Transformed, out: Path, workers: int, pause: float = 0, **settings: Any
) -> list[subprocess.Popen[str]]:
    """Starts the workers; each has its own folder, as if they shared no disk."""
    addresses = [f"localhost:{port}" for port in free_ports(workers)]
    processes = []
    for index in range(workers):
        folder = out / f"worker-{index}"
        folder.mkdir(exist_ok=True)
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        arguments = [transformed.records, transformed.graph, folder]
        texts = [json.dumps(SETTINGS | settings), folder / "weights.npz", pause]
        command = [sys.executable, "-c", PROGRAM, *map(str, arguments + texts)]
        environment = os.environ | {"TF_CONFIG": config}
        processes.append(
            subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        )
    return processes


def finish(processes: Sequence[subprocess.Popen[str]], code: int = 0) -> list[str]:
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [code] * len(processes), errors
    return errors


def weights(out: Path, worker: int) -> list[Any]:
    with np.load(out / f"worker-{worker}" / "weights.npz") as file:
        return [file[name] for name in sorted(file.files)]


@pytest.fixture(scope="module")
def alone(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """Losses of one worker."""
    out = tmp_path_factory.mktemp("alone")
    settings = TrainSettings.model_validate(SETTINGS)
    train(
        transformed.records,
        transformed.graph,
        settings,
        model=out / "model",
        checkpoints=out / "checkpoints",
    )
    return losses(out)


def losses(out: Path) -> list[float]:
    epochs = json.loads((out / "model" / "history.json").read_text())["epochs"]
    return [epoch["loss"] for epoch in epochs]


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_agree_and_reach_the_loss_of_one(
    transformed: Transformed, alone: list[float], tmp_path: Path, workers: int
) -> None:
    finish(start(transformed, tmp_path, workers))
    chief = weights(tmp_path, 0)
    for worker in range(1, workers):
        for ours, theirs in zip(weights(tmp_path, worker), chief, strict=True):
            assert np.array_equal(ours, theirs)
        assert [path.name for path in (tmp_path / f"worker-{worker}").iterdir()] == ["weights.npz"]
    assert losses(tmp_path / "worker-0") == pytest.approx(alone, abs=0.25)


def test_workers_that_were_preempted_go_on_together(
    transformed: Transformed, tmp_path: Path
) -> None:
    """One is asked to end and all do; only the chief's disk holds the checkpoint."""
    processes = start(transformed, tmp_path, 2, pause=0.3)
    second = processes[1].stderr
    assert second is not None
    while second.readline() != "step\n":
        assert processes[1].poll() is None
    time.sleep(0.1)
    processes[1].send_signal(signal.SIGTERM)
    for error in finish(processes, code=1):
        assert "[train] error: asked to end (SIGTERM) at step" in error
    assert (tmp_path / "worker-0" / "checkpoints" / "training.npz").is_file()
    finish(start(transformed, tmp_path, 2))
    for ours, theirs in zip(weights(tmp_path, 1), weights(tmp_path, 0), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_lost_worker_ends_the_others_with_a_clear_line(
    transformed: Transformed, tmp_path: Path
) -> None:
    processes = start(transformed, tmp_path, 2, pause=0.5, epochs=20)
    chief = processes[0].stderr
    assert chief is not None
    while chief.readline() != "step\n":
        assert processes[0].poll() is None
    processes[1].kill()
    _, error = processes[0].communicate(timeout=120)
    processes[1].wait()
    assert processes[0].returncode == 1
    assert "[train] error: another worker has ended: start all workers again" in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{not json", "TF_CONFIG is not JSON"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "worker 1, wh",
        ),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chef", "index": 0}}', "is chef 0, wh"),
        ('{"cluster": {"worker": ["a:1"]}}', "is no task, which is not in its cluster .worker 0"),
        ('{"cluster": {"worker": "a:1"}}', 'must map "chief" and "worker" to lists'),
        ("[]", 'must map "chief" and "worker" to lists'),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
            "not a number",
        ),
    ],
)
def test_a_wrong_tf_config_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SettingsError, match=message) as raised:
        read_worker_group()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        ("", WorkerGroup(1, 0)),
        ("{}", WorkerGroup(1, 0)),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}', (2, 1)),
        (
            '{"cluster": {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]},'
            ' "environment": "cloud", "task": {"type": "worker", "index": "0"}}',
            (2, 1),
        ),
        ('{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}', (1, 0)),
    ],
)
def test_tf_config_as_vertex_and_kubeflow_set_it(
    monkeypatch: pytest.MonkeyPatch, text: str, cluster: Any
) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    read = read_worker_group()
    assert read == cluster or (read.size, read.rank) == cluster


def test_tasks_of_another_kind_are_no_cluster_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them would be a chief, and write the one output."""
    text = '{"cluster": {"master": ["a:1"], "slave": ["b:1"]}, "task": {"type": "slave"}}'
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SettingsError, match=r'"cluster" has master, slave, where training knows'):
        read_worker_group()


def test_a_tpu_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"train.strategy is tpu, but no TPU can be reached"):
        build_strategy("tpu", WorkerGroup())


def test_workers_that_would_not_know_of_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"mirrored, but TF_CONFIG names 2 workers"):
        build_strategy("mirrored", WorkerGroup(2, 0))


def test_auto_takes_what_is_there() -> None:
    import tensorflow as tf

    assert isinstance(build_strategy("auto", WorkerGroup()), tf.distribute.OneDeviceStrategy)


@pytest.mark.parametrize("there", [True, False])
def test_a_gpu_that_stays_idle_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    there: bool,
) -> None:
    device = tmp_path / "nvidia0"
    if there:
        device.touch()
    monkeypatch.setattr("components.train.distribution.strategy.GPU_DEVICE", device)
    build_strategy("one_device", WorkerGroup())
    assert ("TRAIN_GROUP=train-gpu" in caplog.text) is there
