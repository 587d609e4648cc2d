"""Which epoch was the best, and whether to wait for a better one."""

from collections.abc import Mapping, Sequence
from typing import Any


def best(epochs: Sequence[Mapping[str, Any]], monitor: str) -> int:
    """Index of the first of the best epochs.

    Args:
        epochs: Entries of the history.
        monitor: The key to go by: the highest accuracy, or the lowest of anything else.
    """
    sign = -1 if monitor == "val_accuracy" else 1
    return min(range(len(epochs)), key=lambda index: sign * epochs[index][monitor])


def out_of_patience(
    epochs: Sequence[Mapping[str, Any]], monitor: str, patience: int | None
) -> bool:
    """Whether the best of a phase's epochs is `patience` epochs back; never without patience."""
    return patience is not None and len(epochs) - 1 - best(epochs, monitor) >= patience
