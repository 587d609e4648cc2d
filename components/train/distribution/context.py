"""Where a training runs and what it leaves."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.train.data.batches import WorkerShard
from components.train.distribution.tf_config import WorkerGroup
from darkroom.artifacts.transformed import TransformedExamples
from darkroom.errors import SettingsError, StepError


@dataclasses.dataclass(frozen=True)
class TrainingContext:
    """Where a training runs and what it leaves.

    Attributes:
        strategy: The distribution strategy.
        workers: The workers.
        folder: Of checkpoints and the best weights; only the chief reads or writes it.
        identity: What the training is; a checkpoint of any other is refused.
    """

    strategy: Any
    workers: WorkerGroup
    folder: Path
    identity: Mapping[str, Any]

    def worker_shard(self, batch_size: int) -> WorkerShard:
        """This worker's share of global batches.

        Raises:
            SettingsError: The batch does not divide by devices.
        """
        replicas, workers = self.strategy.num_replicas_in_sync, self.workers
        if batch_size % replicas:
            raise SettingsError(
                f"train.batch_size is {batch_size}, over all devices, and does not divide by the "
                f"{replicas} devices: set {max(1, round(batch_size / replicas)) * replicas}"
            )
        return WorkerShard(batch_size, workers.size, workers.rank, replicas)

    def distributed(self, build: Callable[[], Any]) -> Any:
        """A dataset that the strategy hands to its devices, without cutting it up once more."""
        return self.strategy.distribute_datasets_from_function(lambda _: build())


@contextlib.contextmanager
def clear_errors(source: TransformedExamples, context: TrainingContext) -> Iterator[None]:
    """Says what TensorFlow says in many lines in one, where we know what it means.

    Args:
        source: What is read.
        context: Where the training runs.

    Raises:
        StepError: The examples are damaged, or another worker has ended.
    """
    import tensorflow as tf

    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        reason = str(error.message).splitlines()[0]
        raise StepError(f"cannot read {source.folder}: transform again ({reason})") from error
    except (*lost, tf.errors.DeadlineExceededError, tf.errors.InternalError) as error:
        if context.workers.size == 1:
            raise
        raise StepError(
            "another worker has ended: start all workers again, and they resume from the "
            f"checkpoint in {context.folder} ({str(error.message).splitlines()[0]})"
        ) from error


PIECE = 2**24
"""Numbers of 4 bytes that are sent at once."""


def broadcast_from_chief(
    content: bytes | None, workers: WorkerGroup, strategy: Any
) -> bytes | None:
    """Gives every worker what the chief has.

    Args:
        content: The chief's bytes or None; what the other workers give does not matter.
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
    """The sum of whole numbers over workers."""
    import tensorflow as tf

    def add() -> Any:
        return tf.distribute.get_replica_context().all_reduce("sum", tf.identity(values))

    # Each of a worker's devices puts the same in.
    local = strategy.experimental_local_results(tf.function(strategy.run)(add))
    return local[0].numpy() // len(local)
