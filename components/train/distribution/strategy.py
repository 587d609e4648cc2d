"""Distribution strategies: one device, all GPUs of a machine, several machines, or a TPU."""

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from darkroom.errors import SettingsError

_log = logging.getLogger("darkroom.train")


@dataclasses.dataclass(frozen=True)
class WorkerGroup:
    """The workers of a training, and which of them this process is.

    Attributes:
        size: Number of workers that train, including the chief.
        rank: Number of this worker, from 0. Worker 0 is the chief; only the chief writes.
    """

    size: int = 1
    rank: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes checkpoints and the model."""
        return self.rank == 0


StrategyName = Literal["auto", "one_device", "mirrored", "multi_worker", "tpu"]

GPU_DEVICE = Path("/dev/nvidia0")
"""Exists on a machine with an NVIDIA GPU, and in a container that may use it."""
TPU_VARIABLES = ("TPU_NAME", "KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS", "TPU_WORKER_HOSTNAMES")
"""Environment variables of a process that has a TPU."""


def build_strategy(name: StrategyName, workers: WorkerGroup) -> Any:
    """Builds a `tf.distribute.Strategy`.

    With several workers, call it before anything else uses TensorFlow.

    Args:
        name: `auto` is `multi_worker` where TF_CONFIG names several workers, `tpu` where the
            environment names a TPU, `mirrored` with several GPUs, and otherwise `one_device`.
        workers: The workers.

    Returns:
        The strategy; model and optimizer must be created within its scope.

    Raises:
        SettingsError: The hardware is missing, or several workers would train independently.
    """
    import tensorflow as tf

    chosen = _choice(name, workers)
    if workers.size > 1 and chosen != "multi_worker":
        raise SettingsError(
            f"train.strategy is {chosen}, but TF_CONFIG names {workers.size} workers: each "
            "would train independently; set auto or multi_worker"
        )
    if chosen == "tpu":
        return _tpu_strategy()
    _warn_of_idle_gpu()
    if chosen == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if chosen == "mirrored":
        return tf.distribute.MirroredStrategy()
    device = "/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0"
    return tf.distribute.OneDeviceStrategy(device)


def _warn_of_idle_gpu() -> None:
    """Warns where the machine has a GPU that TensorFlow cannot use."""
    import tensorflow as tf

    if GPU_DEVICE.exists() and not tf.config.list_physical_devices("GPU"):
        _log.warning(
            "this machine has a GPU that TensorFlow cannot use, so the training runs on the CPU: "
            "build the train image with TRAIN_GROUP=train-gpu (docs/images.md), or check its "
            "driver"
        )


def _choice(name: StrategyName, workers: WorkerGroup) -> StrategyName:
    import tensorflow as tf

    if name != "auto":
        return name
    if workers.size > 1:
        return "multi_worker"
    if any(os.environ.get(variable) for variable in TPU_VARIABLES):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def _tpu_strategy() -> Any:
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SettingsError(
            f"train.strategy is tpu, but no TPU can be reached ({reason}): set TPU_NAME, or "
            "train.strategy to auto"
        ) from None
    return tf.distribute.TPUStrategy(resolver)


@contextlib.contextmanager
def dtype_policy(policy: str) -> Iterator[None]:
    """Sets Keras's dtype policy for the networks built within the context.

    Args:
        policy: `float32`, `mixed_float16` or `mixed_bfloat16`.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


VARIABLE = "TF_CONFIG"
_TASKS_THAT_TRAIN = ("chief", "worker")
_TASKS_BESIDE = ("evaluator", "ps")


def read_worker_group() -> WorkerGroup:
    """Reads `TF_CONFIG`; unset, there is one worker.

    Raises:
        SettingsError: It is not JSON, or does not name this process's task.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return WorkerGroup()
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise SettingsError(f"{VARIABLE} is not JSON: {error}") from None
    members = _members(document)
    if not members:
        return WorkerGroup()
    task = document.get("task")
    here = (task.get("type"), _index(task)) if isinstance(task, dict) else None
    if here not in members:
        named = f"{here[0]} {here[1]}" if here else "no task"
        names = ", ".join(f"{kind} {index}" for kind, index in members)
        raise SettingsError(
            f"{VARIABLE}: this process is {named}, which is not in its cluster ({names}): "
            f'set "task": {{"type": "worker", "index": 0}} or another of them'
        )
    return WorkerGroup(len(members), members.index(here))


def _members(document: Any) -> list[tuple[str, int]]:
    """The tasks that train, as (type, index), the chief first; empty without a cluster."""
    workers = document.get("cluster", {}) if isinstance(document, dict) else None
    if not isinstance(workers, dict) or not all(isinstance(a, list) for a in workers.values()):
        raise SettingsError(
            f'{VARIABLE}: "cluster" must map "chief" and "worker" to lists of addresses'
        )
    if unknown := sorted(set(workers) - {*_TASKS_THAT_TRAIN, *_TASKS_BESIDE}):
        # Each of them would take itself for a cluster of one, and all would write one output.
        raise SettingsError(
            f'{VARIABLE}: "cluster" has {", ".join(unknown)}, where training knows "chief" and '
            '"worker"'
        )
    return [
        (kind, index) for kind in _TASKS_THAT_TRAIN for index in range(len(workers.get(kind, ())))
    ]


def _index(task: dict[str, Any]) -> int:
    try:
        return int(task.get("index", 0))  # some tools write it as text
    except (TypeError, ValueError):
        raise SettingsError(f'{VARIABLE}: the task\'s "index" is not a number') from None
