"""The trainer: phases and epochs, the best weights, and checkpoints to resume from."""

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
from components.train.export.trained import sample
from components.train.loop.checkpoint import Checkpoint, CheckpointManager, variable_values
from components.train.loop.progress import (
    InterruptedStepError,
    OnEpoch,
    Progress,
    ProgressLine,
    out_of_patience,
)
from components.train.loop.steps import AdaptiveStepCount, StepRunner
from components.train.loop.tensorboard import TensorBoardWriter
from components.train.model.losses import build_loss
from components.train.model.network import Network
from components.train.model.phases import Phase, build_optimizer, rate_factors, set_trainable
from components.train.model.thresholds import macro_f1
from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError
from darkroom.runtime.pace import Pace
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
        phases: The phases in order; a checkpoint may say that some are finished.
        context: The training context.
        on_epoch: Called after every epoch, once it is saved, and before resuming after one.

    Returns:
        The history: `{"epochs": [{"epoch", "phase", "loss", "accuracy", "val_loss",
        "val_accuracy", "learning_rate", "seconds"}, ...], "best_epoch": number}`, and
        `"val_macro_f1"` at the best thresholds, where photographs have several labels. The losses
        do not include the penalties on weights; the training loss is weighted by class.

    Raises:
        SettingsError: `fine_tune_from` names no layer, or the batch does not divide by devices.
        StepError: A split is empty, a checkpoint cannot be used, the loss is not a number, or the
            process was asked to end.
    """
    with noted_termination() as termination, clear_errors(source, context):
        trainer = Trainer(network, source, graph, settings, phases, context, termination)
        return trainer.run(on_epoch)


class Trainer:
    """One training: its network, its data, and its progress.

    Args:
        network: The network to train.
        source: Transformed examples.
        graph: The graph that gave them.
        settings: The train step's settings.
        phases: The phases in order.
        context: The training context.
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
        self._checkpoints = CheckpointManager(context, network.model, sample(source, graph))
        self._line = ProgressLine(context.workers.is_chief)
        self._steps = epoch_steps(source, settings.batch_size)
        self._call, self._call_seconds = AdaptiveStepCount(), 0.0
        self._seeds_decorrelated = False
        self._progress = Progress()
        self._loss = build_loss(settings, source, graph)
        shard = context.worker_shard(settings.batch_size)
        self._valid_steps = evaluation_steps(source, "valid", shard)
        self._valid = context.distributed(lambda: evaluation_stream(source, graph, "valid", shard))

        def stream(step: int) -> Any:
            return training_stream(source, graph, shard, settings.seed, step, settings.augmentation)

        self._stream, self._labels = stream, None if graph.multi_label else graph.labels

    def run(self, on_epoch: OnEpoch | None) -> dict[str, Any]:
        """Trains from the start or from the checkpoint, and returns the history as `fit` does."""
        self._on_epoch = on_epoch
        restored = self._checkpoints.read()
        if restored is not None:
            self._progress = restored.progress
            if on_epoch is not None and self._progress.epochs:
                on_epoch(self._progress.history())
        self._tensorboard = self._open_tensorboard(overwrite=restored is None)
        first_step = self._progress.step_of_all
        self._batches = iter(self._context.distributed(lambda: self._stream(first_step)))
        for number in range(self._progress.phase, len(self._phases)):
            self._run_phase(number, restored)
            restored = None
        if restored is not None:  # nothing is left to train
            self._checkpoints.restore(restored, self._network.model.variables)
        return self._progress.history()

    def _open_tensorboard(self, overwrite: bool) -> TensorBoardWriter | None:
        if not (self._settings.tensorboard and self._is_chief):
            return None
        writer = TensorBoardWriter(self._context.folder, self._labels, overwrite)
        if overwrite:
            writer.show_model(self._network.model)
            images, _ = next(iter(self._stream(0)))
            if len(images.shape) == 4:  # embeddings have two
                writer.show_samples(images)
        return writer

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
        self._runner = StepRunner(
            self._network.model,
            self._optimizer,
            self._loss,
            self._context.strategy,
            self._context.workers.size,
            self._settings.jit_compile,
        )
        if restored is not None:
            begun = self._progress.epoch or self._progress.step
            variables = self._variables if begun else self._network.model.variables
            self._checkpoints.restore(restored, variables)
        if not self._seeds_decorrelated:
            self._runner.decorrelate_seeds()
            self._seeds_decorrelated = True
        while self._progress.phase == number:
            self._run_epoch(phase)

    def _run_epoch(self, phase: Phase) -> None:
        begun = time.monotonic() - self._progress.seconds
        self._runner.start(self._progress.sums)
        left = self._steps - self._progress.step
        self._pace = Pace(_log, f"{phase.name} {self._progress.epoch + 1}, steps", left)
        while self._progress.step < self._steps:
            self._run_steps(phase, begun)
        self._runner.sync_batch_norm()
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
        """Runs some steps of the epoch, and writes a checkpoint when one is due."""
        progress, every = self._progress, self._settings.checkpoint_steps
        left = self._steps - progress.step
        if every is not None:
            left = min(left, every - progress.step % every)
        count = min(self._call.steps, left)
        called = time.monotonic()
        sums, (stops, seconds) = self._runner.train(
            self._batches, count, (float(self._termination.received), self._call_seconds)
        )
        self._call_seconds = time.monotonic() - called
        if self._is_chief:
            self._pace.add(count)
        self._call.adapt(seconds / self._context.workers.size)
        step = progress.step + count
        if sums.steps < step:
            raise self._not_a_number(f"step {sums.steps + 1}")
        self._progress = progress.after_steps(count, sums, time.monotonic() - begun)
        self._line.show(
            f"{phase.name} {progress.epoch + 1}/{phase.epochs}  step {step}/{self._steps}  "
            f"loss {sums.means()['loss']:.3f}"
        )
        if stops or (every and step % every == 0 and step < self._steps):
            self._runner.sync_batch_norm()
            self._save(self._variables)
        if stops:
            self._line.clear()
            raise InterruptedStepError(
                f"asked to end (SIGTERM) at step {step} of epoch {len(progress.epochs) + 1}; the "
                f"checkpoint in {self._context.folder} is written: run the same again to resume"
            )

    def _entry(self, phase: Phase, begun: float) -> dict[str, Any]:
        """Evaluates the validation split, and returns the epoch's entry of the history."""
        assert self._progress.sums is not None
        means = self._progress.sums.means()
        sums, counts = self._runner.evaluate(iter(self._valid), self._valid_steps)
        means |= sums.means("val_")
        if self._loss.multi_label:
            means["val_macro_f1"] = macro_f1(counts)
        if not all(math.isfinite(value) for value in means.values()):
            raise self._not_a_number("the end")
        entry = {
            "epoch": len(self._progress.epochs) + 1,
            "phase": phase.name,
            **means,
            "learning_rate": float(self._optimizer.learning_rate),
            "seconds": round(time.monotonic() - begun, 2),
        }
        if self._tensorboard is not None:
            self._tensorboard.show_epoch(entry, self._network.model.trainable_variables, counts)
        return entry

    def _finish_epoch(self, phase: Phase, entry: dict[str, Any]) -> None:
        self._progress = self._progress.after_epoch(entry, self._settings.monitor)
        variables = self._variables
        if self._progress.epoch == phase.epochs or self._stopped_early(phase):
            # The next phase has an optimizer of its own, and starts from the best weights.
            variables = self._network.model.variables
            self._progress = self._progress.next_phase()
            is_last = self._progress.phase == len(self._phases)
            if not is_last and self._progress.best_epoch != entry["epoch"]:
                self._checkpoints.restore_best()
        self._save(variables)
        if self._progress.best_epoch == entry["epoch"]:
            self._checkpoints.save_best()
        if self._on_epoch is not None:
            self._on_epoch(self._progress.history())

    def _stopped_early(self, phase: Phase) -> bool:
        monitor, patience = self._settings.monitor, self._settings.patience
        stopped = out_of_patience(self._progress.phase_epochs(), monitor, patience)
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
        """Writes a checkpoint, unless a weight is not a finite number."""
        values = variable_values(variables)
        if not all(np.isfinite(value).all() for value in values):
            raise self._not_a_number("the weights")
        self._checkpoints.save(self._progress, values)

    def _not_a_number(self, moment: str) -> StepError:
        self._line.clear()
        return StepError(
            f"the loss is not a number at {moment} of epoch {len(self._progress.epochs) + 1}: "
            "lower train.learning_rate (the checkpoint and the best weights before it are kept)"
        )
