"""Fitting: phases and epochs, the best weights, and checkpoints to go on from."""

import dataclasses
import logging
import math
import time
from typing import Any

import numpy as np

from components.train.data.batches import (
    epoch_steps,
    evaluation_steps,
    evaluation_stream,
    training_stream,
)
from components.train.distribution.context import TrainingContext, clear_errors
from components.train.loop.call_length import AdaptiveStepCount
from components.train.loop.checkpoint import Checkpoint, Progress, variable_values
from components.train.loop.checkpoint_manager import CheckpointManager
from components.train.loop.early_stopping import best, out_of_patience
from components.train.loop.interruption import InterruptedStepError, OnEpoch
from components.train.loop.progress import ProgressLine
from components.train.loop.steps import StepRunner
from components.train.loop.tensorboard import TensorBoardWriter
from components.train.model.losses import build_losses
from components.train.model.network import Network
from components.train.model.optimizer import build_optimizer
from components.train.model.phases import Phase, rate_factors, set_trainable
from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError
from darkroom.runtime.signals import TerminationRequest, noted_termination

_log = logging.getLogger("darkroom.train")


def fit(
    network: Network,
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
    phases: list[Phase],
    context: TrainingContext,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Trains a network through all phases, and keeps its best weights.

    Args:
        network: Built within the strategy's scope.
        source: Transformed examples.
        graph: The graph that gave them.
        settings: The train step's settings.
        phases: The phases, of which a checkpoint may say that some are done.
        context: Where the training runs and what it leaves.
        on_epoch: Called after every epoch, when it is saved, and before going on after one.

    Returns:
        The history: `{"epochs": [{"epoch", "phase", "loss", "accuracy", "val_loss",
        "val_accuracy", "learning_rate", "seconds"}, ...], "best_epoch": number}`. The losses are
        without penalties on weights; the training loss is weighted by class.

    Raises:
        SettingsError: `fine_tune_from` names no layer, or the batch does not divide by devices.
        StepError: A split is empty, a checkpoint cannot be used, the loss is not a number, or the
            process was asked to end.
    """
    with noted_termination() as termination, clear_errors(source, context):
        training = Trainer(network, source, graph, settings, phases, context, termination)
        return training.run(on_epoch)


class Trainer:
    """One training: its network, its data, and how far it is.

    Args:
        network: What is trained.
        source: The transformed examples.
        graph: Their transform graph.
        settings: The train step's settings.
        phases: What is trained in which order.
        context: Where the training runs.
        termination: Whether the process has been asked to end.
    """

    def __init__(
        self,
        network: Network,
        source: TransformedExamples,
        graph: TransformGraph,
        settings: TrainSettings,
        phases: list[Phase],
        context: TrainingContext,
        termination: TerminationRequest,
    ) -> None:
        self._network, self._settings, self._phases = network, settings, phases
        self._context, self._termination = context, termination
        self._manager = CheckpointManager(context, network.model)
        self._line = ProgressLine(context.workers.is_chief)
        self._steps = epoch_steps(source, settings.batch_size)
        self._call, self._call_seconds = AdaptiveStepCount(), 0.0
        self._seeds_spread = False
        self._progress = Progress()
        self._objective = build_losses(settings, source, graph)
        share = context.share(settings.batch_size)
        self._valid_steps = evaluation_steps(source, "valid", share)
        self._valid = context.distributed(lambda: evaluation_stream(source, graph, "valid", share))

        def stream(step: int) -> Any:
            return training_stream(source, graph, share, settings.seed, step, settings.augmentation)

        self._stream, self._labels = stream, None if graph.multi_label else graph.labels

    def run(self, on_epoch: OnEpoch | None) -> dict[str, Any]:
        """Trains, or resumes from the checkpoint; gives the history as `fit` does."""
        self._on_epoch = on_epoch
        restored = self._manager.read()
        if restored is not None:
            self._progress = restored.progress
            if on_epoch is not None and self._progress.epochs:
                on_epoch(self._history())
        self._watch = self._begin_watch(anew=restored is None)
        first_step = self._progress.step_of_all
        self._batches = iter(self._context.distributed(lambda: self._stream(first_step)))
        for number in range(self._progress.phase, len(self._phases)):
            self._run_phase(number, restored)
            restored = None
        if restored is not None:  # nothing is left to train
            self._manager.restore(restored, self._network.model.variables)
        return self._history()

    def _begin_watch(self, anew: bool) -> TensorBoardWriter | None:
        if not (self._settings.tensorboard and self._is_chief):
            return None
        watch = TensorBoardWriter(self._context.folder, self._labels, anew)
        if anew:
            watch.show_model(self._network.model)
            images, _ = next(iter(self._stream(0)))
            if len(images.shape) == 4:  # and not embeddings
                watch.show_samples(images)
        return watch

    def _run_phase(self, number: int, restored: Checkpoint | None) -> None:
        phase = self._phases[number]
        set_trainable(self._network.backbone, phase)
        with self._context.strategy.scope():
            self._optimizer = build_optimizer(
                phase,
                self._steps,
                self._settings.weight_decay,
                self._network.model.trainable_variables,
                rate_factors(self._network.backbone, phase),
                scale_loss=self._settings.precision == "mixed_float16",
            )
        self._loop = StepRunner(
            self._network.model,
            self._optimizer,
            self._objective,
            self._context.strategy,
            self._context.workers.size,
            self._settings.jit_compile,
        )
        if restored is not None:
            begun = self._progress.epoch or self._progress.step
            variables = self._variables if begun else self._network.model.variables
            self._manager.restore(restored, variables)
        if not self._seeds_spread:
            self._loop.decorrelate_seeds()
            self._seeds_spread = True
        while self._progress.phase == number:
            self._run_epoch(phase)

    def _run_epoch(self, phase: Phase) -> None:
        begun = time.monotonic() - self._progress.seconds
        self._loop.start(self._progress.sums)
        while self._progress.step < self._steps:
            self._run_steps(phase, begun)
        self._loop.sync_batch_norm()
        entry = self._entry(phase, begun)
        self._line.clear()
        if self._is_chief:
            _log.info(
                "%s %d/%d  loss %.3f  accuracy %.3f  valid loss %.3f  accuracy %.3f  (%.0f s)",
                *(phase.name, self._progress.epoch + 1, phase.epochs, entry["loss"]),
                *(entry["accuracy"], entry["val_loss"], entry["val_accuracy"], entry["seconds"]),
            )
        self._finish_epoch(phase, entry)

    def _run_steps(self, phase: Phase, begun: float) -> None:
        """Takes some steps of the epoch, and saves where that is due."""
        progress, every = self._progress, self._settings.checkpoint_steps
        left = self._steps - progress.step
        if every is not None:
            left = min(left, every - progress.step % every)
        count = min(self._call.steps, left)
        called = time.monotonic()
        sums, (stops, seconds) = self._loop.train(
            self._batches, count, (float(self._termination.received), self._call_seconds)
        )
        self._call_seconds = time.monotonic() - called
        self._call.adapt(seconds / self._context.workers.size)
        step = progress.step + count
        if sums.steps < step:
            raise self._not_a_number(f"step {sums.steps + 1}")
        self._progress = dataclasses.replace(
            progress,
            step=step,
            step_of_all=progress.step_of_all + count,
            sums=sums,
            seconds=time.monotonic() - begun,
        )
        self._line.show(
            f"{phase.name} {progress.epoch + 1}/{phase.epochs}  step {step}/{self._steps}  "
            f"loss {sums.means()['loss']:.3f}"
        )
        if stops or (every and step % every == 0 and step < self._steps):
            self._loop.sync_batch_norm()
            self._save(self._variables)
        if stops:
            self._line.clear()
            raise InterruptedStepError(
                f"asked to end (SIGTERM) at step {step} of epoch {len(progress.epochs) + 1}; the "
                f"checkpoint in {self._context.folder} is written: run the same again to resume"
            )

    def _entry(self, phase: Phase, begun: float) -> dict[str, Any]:
        """The history's entry of the epoch, with a validation."""
        assert self._progress.sums is not None
        means = self._progress.sums.means()
        sums, confusion = self._loop.evaluate(iter(self._valid), self._valid_steps)
        means |= sums.means("val_")
        if not all(math.isfinite(value) for value in means.values()):
            raise self._not_a_number("the end")
        entry = {
            "epoch": len(self._progress.epochs) + 1,
            "phase": phase.name,
            **means,
            "learning_rate": float(self._optimizer.learning_rate),
            "seconds": round(time.monotonic() - begun, 2),
        }
        if self._watch is not None:
            self._watch.show_epoch(entry, self._network.model.trainable_variables, confusion)
        return entry

    def _finish_epoch(self, phase: Phase, entry: dict[str, Any]) -> None:
        progress = self._progress
        epochs = (*progress.epochs, entry)
        best_epoch = epochs[best(epochs, self._settings.monitor)]["epoch"]
        self._progress = dataclasses.replace(
            progress,
            epoch=progress.epoch + 1,
            step=0,
            sums=None,
            seconds=0.0,
            epochs=epochs,
            best_epoch=best_epoch,
        )
        variables = self._variables
        if self._progress.epoch == phase.epochs or self._stopped_early(phase):
            # The next phase has an optimizer of its own.
            variables = self._network.model.variables
            self._progress = dataclasses.replace(self._progress, phase=progress.phase + 1, epoch=0)
        self._save(variables)
        if best_epoch == entry["epoch"]:
            self._manager.save_best()
        if self._on_epoch is not None:
            self._on_epoch(self._history())

    def _history(self) -> dict[str, Any]:
        return {"epochs": list(self._progress.epochs), "best_epoch": self._progress.best_epoch}

    def _stopped_early(self, phase: Phase) -> bool:
        monitor, patience = self._settings.monitor, self._settings.patience
        epochs = self._progress.epochs
        own = epochs[len(epochs) - self._progress.epoch :]
        stopped = out_of_patience(own, monitor, patience)
        if stopped and self._is_chief:
            _log.info("%s ends early: no better %s in %d epochs", phase.name, monitor, patience)
        return stopped

    @property
    def _is_chief(self) -> bool:
        return self._context.workers.is_chief

    @property
    def _variables(self) -> list[Any]:
        return [*self._network.model.variables, *self._optimizer.variables]

    def _save(self, variables: list[Any]) -> None:
        """Writes a checkpoint, unless the weights are no numbers any more."""
        values = variable_values(variables)
        if not all(np.isfinite(value).all() for value in values):
            raise self._not_a_number("the weights")
        self._manager.save(self._progress, values)

    def _not_a_number(self, moment: str) -> StepError:
        self._line.clear()
        return StepError(
            f"the loss is not a number at {moment} of epoch {len(self._progress.epochs) + 1}: "
            "lower train.learning_rate (the checkpoint and the best weights before it are kept)"
        )
