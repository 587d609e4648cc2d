"""Keeping a training's state: the checkpoint to go on from, and the weights of the best epoch."""

import logging
from collections.abc import Sequence
from typing import Any

from components.train.distribution.broadcast import broadcast_from_chief
from components.train.distribution.context import TrainingContext
from components.train.loop import checkpoint as checkpoints
from components.train.loop.checkpoint import BEST_WEIGHTS, Checkpoint, Progress
from darkroom.errors import StepError
from darkroom.storage.atomic import atomic_file, remove_temporary

_log = logging.getLogger("darkroom.train")


class CheckpointManager:
    """Reads and writes what a training keeps; the chief alone touches the folder.

    Args:
        context: Where the training runs.
        model: The keras.Model that is trained.
    """

    def __init__(self, context: TrainingContext, model: Any) -> None:
        self._context, self._model = context, model

    def read(self) -> Checkpoint | None:
        """Gives every worker the chief's checkpoint; None where there is none.

        Raises:
            StepError: It is damaged, or of another training.
        """
        folder, chief = self._context.folder, self._context.workers.is_chief
        if chief:
            # Of an attempt that was killed; each leaves as much as the checkpoint holds.
            remove_temporary(folder)
        content = checkpoints.read_bytes(folder) if chief else None
        content = broadcast_from_chief(content, self._context.workers, self._context.strategy)
        if content is None:
            return None
        return checkpoints.parse_checkpoint(content, folder, self._context.identity)

    def restore(self, checkpoint: Checkpoint, variables: Sequence[Any]) -> None:
        """Gives variables the checkpoint's values.

        Raises:
            StepError: They are not the same variables, or the best weights are gone.
        """
        checkpoints.assign_values(variables, checkpoint.values)
        progress, folder = checkpoint.progress, self._context.folder
        done = len(progress.epochs)
        if not self._context.workers.is_chief:
            return
        moment = f"step {progress.step} of epoch {done + 1}" if progress.step else f"epoch {done}"
        _log.info("goes on after %s, from the checkpoint in %s", moment, folder)
        if progress.best_epoch == done and not progress.step:
            # Killed perhaps between the checkpoint and the best weights, which are the same.
            self.save_best()
        elif progress.best_epoch and not (folder / BEST_WEIGHTS).is_file():
            raise StepError(
                f"{folder / BEST_WEIGHTS} is missing beside its checkpoint: delete {folder} to "
                "train from the start"
            )

    def save(self, progress: Progress, values: tuple[Any, ...]) -> None:
        """Writes a checkpoint in the place of the one before.

        Raises:
            StepError: The folder cannot be written.
        """
        if self._context.workers.is_chief:
            checkpoint = Checkpoint(progress, values)
            checkpoints.write_checkpoint(self._context.folder, self._context.identity, checkpoint)

    def save_best(self) -> None:
        """Keeps the model's weights as the best.

        Raises:
            StepError: The folder cannot be written.
        """
        if not self._context.workers.is_chief:
            return
        best = self._context.folder / BEST_WEIGHTS
        try:
            with atomic_file(best) as temporary:
                self._model.save_weights(temporary)
        except OSError as error:
            raise StepError(f"cannot write {best}: {error.strerror or error}") from error
