"""Bytes from the chief to all workers, so that none but the chief needs the checkpoints' folder."""

from typing import Any

from components.train.distribution.tf_config import WorkerGroup

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
