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

    def share(self, batch_size: int) -> WorkerShard:
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
