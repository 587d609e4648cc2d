"""The training context: strategy, workers, checkpoint folder and the training's identity."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.train.data.batches import WorkerShard
from components.train.distribution.strategy import WorkerGroup
from darkroom.artifacts.transformed import TransformedExamples
from darkroom.errors import SettingsError, StepError

PIECE = 2**24
"""int32 numbers sent at once: 64 MiB."""


@dataclasses.dataclass(frozen=True)
class TrainingContext:
    """The strategy, workers, checkpoint folder and identity of a training.

    Attributes:
        strategy: The distribution strategy.
        workers: The workers.
        folder: Folder of the checkpoint and the best weights; only the chief reads or writes it.
        identity: Settings, labels and data of the training; a checkpoint with another is refused.
    """

    strategy: Any
    workers: WorkerGroup
    folder: Path
    identity: Mapping[str, Any]

    def worker_shard(self, batch_size: int) -> WorkerShard:
        """This worker's shard of the global batches.

        Raises:
            SettingsError: The batch size is not divisible by the number of devices.
        """
        replicas, workers = self.strategy.num_replicas_in_sync, self.workers
        if batch_size % replicas:
            raise SettingsError(
                f"train.batch_size is {batch_size}, over all devices, and not divisible by the "
                f"{replicas} devices: set {max(1, round(batch_size / replicas)) * replicas}"
            )
        return WorkerShard(batch_size, workers.size, workers.rank, replicas)

    def distributed(self, build: Callable[[], Any]) -> Any:
        """Distributes a dataset of per-device batches to the strategy's devices."""
        return self.strategy.distribute_datasets_from_function(lambda _: build())


@contextlib.contextmanager
def clear_errors(source: TransformedExamples, context: TrainingContext) -> Iterator[None]:
    """Replaces errors of TensorFlow whose cause is known by errors of one line.

    Args:
        source: Transformed examples that are read.
        context: The training context.

    Raises:
        StepError: The examples are damaged or missing, or another worker has ended.
    """
    import tensorflow as tf

    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        reason = str(error.message).splitlines()[0]
        raise StepError(f"cannot read {source.folder}: transform again ({reason})") from error
    except tf.errors.UnknownError as error:
        # What Python raised within the input pipeline, as where a shard is fetched.
        found = re.search(r"StepError: (.+)", str(error.message))
        if found is None:
            raise
        raise StepError(found[1]) from error
    except (*lost, tf.errors.DeadlineExceededError, tf.errors.InternalError) as error:
        if context.workers.size == 1:
            raise
        raise StepError(
            "another worker has ended: start all workers again, and they resume from the "
            f"checkpoint in {context.folder} ({str(error.message).splitlines()[0]})"
        ) from error


def broadcast_from_chief(
    content: bytes | None, workers: WorkerGroup, strategy: Any
) -> bytes | None:
    """Sends the chief's bytes to all workers, so that only the chief needs the checkpoint folder.

    Args:
        content: The chief's bytes or None; ignored on the other workers.
        workers: The workers.
        strategy: The distribution strategy.

    Returns:
        The chief's bytes or None, on every worker.
    """
    import numpy as np

    if workers.size == 1:
        return content
    ours = content if workers.is_chief else None
    length, known = _added(strategy, np.array([len(ours or b""), ours is not None], np.int64))
    if not known:
        return None
    numbers = np.zeros(-(-int(length) // 4), np.int32)
    if ours is not None:
        numbers.view(np.uint8)[: len(ours)] = np.frombuffer(ours, np.uint8)
    for start in range(0, len(numbers), PIECE):
        piece = slice(start, start + PIECE)
        numbers[piece] = _added(strategy, numbers[piece])
    return numbers.view(np.uint8)[: int(length)].tobytes()


def _added(strategy: Any, values: Any) -> Any:
    """Sums integers over all workers."""
    import tensorflow as tf

    def add() -> Any:
        return tf.distribute.get_replica_context().all_reduce("sum", tf.identity(values))

    # Every device of a worker adds the same values.
    local = strategy.experimental_local_results(tf.function(strategy.run)(add))
    return local[0].numpy() // len(local)
