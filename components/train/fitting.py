"""Fitting in phases: the head on a frozen backbone, then the whole network."""

import dataclasses
import logging
import math
import time
from pathlib import Path
from typing import Any

from components.artifacts.backbones import RANDOM
from components.artifacts.errors import StepError
from components.artifacts.transformed import TransformedExamples, TransformGraph
from components.train.datasets import build_dataset
from components.train.network import Network
from components.train.settings import TrainSettings

_log = logging.getLogger("darkroom.train")


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of the training.

    Attributes:
        name: `head`, `fine_tune` or `scratch`.
        epochs: Number of epochs.
        learning_rate: Peak learning rate.
        backbone_trains: Whether the backbone's weights change.
        batch_norm_frozen: Whether its batch norm keeps statistics and weights.
    """

    name: str
    epochs: int
    learning_rate: float
    backbone_trains: bool
    batch_norm_frozen: bool


def plan_phases(settings: TrainSettings) -> list[Phase]:
    """The phases that the settings ask for, in order."""
    if settings.weights == RANDOM:
        return [Phase("scratch", settings.epochs, settings.learning_rate, True, False)]
    head = Phase("head", settings.epochs, settings.learning_rate, False, True)
    if not settings.fine_tune_epochs:
        return [head]
    rate = settings.fine_tune_learning_rate
    return [head, Phase("fine_tune", settings.fine_tune_epochs, rate, True, True)]


def fit(
    network: Network,
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
    checkpoint: Path,
    strategy: Any,
) -> dict[str, Any]:
    """Trains a network through all phases, and keeps its best weights.

    Args:
        network: Built within `strategy.scope()`.
        source: Transformed examples.
        graph: The graph that gave them.
        settings: The train step's settings.
        checkpoint: File for the weights of the epoch with the lowest validation loss.
        strategy: The distribution strategy.

    Returns:
        The history: `{"epochs": [{"epoch", "phase", "loss", "accuracy", "val_loss",
        "val_accuracy", "learning_rate", "seconds"}, ...], "best_epoch": number}`.

    Raises:
        StepError: The loss is not a number.
    """
    train = build_dataset(source, graph, "train", settings.batch_size, settings.seed)
    valid = build_dataset(source, graph, "valid", settings.batch_size)
    steps = math.ceil(source.counts["train"] / settings.batch_size)
    watch = _watch_epochs(checkpoint)
    for phase in plan_phases(settings):
        watch.start(phase)
        _set_trainable(network.backbone, phase)
        with strategy.scope():
            _compile(network.model, phase, steps, settings.label_smoothing)
        network.model.fit(
            train,
            validation_data=valid,
            epochs=phase.epochs,
            callbacks=[watch],
            shuffle=False,  # the dataset shuffles itself
            verbose=0,
        )
    return {"epochs": watch.epochs, "best_epoch": watch.best_epoch}


def _set_trainable(backbone: Any, phase: Phase) -> None:
    import keras

    backbone.trainable = phase.backbone_trains
    if phase.backbone_trains and phase.batch_norm_frozen:
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def _compile(model: Any, phase: Phase, steps: int, label_smoothing: float) -> None:
    """Compiles with Adam on a linear ramp over the first tenth, then a cosine down to zero."""
    import keras

    total = phase.epochs * steps
    ramp = max(1, total // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, total - ramp),
        warmup_target=phase.learning_rate,
        warmup_steps=ramp,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )


def _watch_epochs(checkpoint: Path) -> Any:
    """A callback that logs a line an epoch, keeps the history and the best weights."""
    import keras

    class WatchEpochs(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.epochs: list[dict[str, Any]] = []
            self.best_epoch = 0
            self._best_loss = math.inf

        def start(self, phase: Phase) -> None:
            self._phase = phase

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            self._started = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            # Reading the loss of every step would make the host wait for the device.
            if batch % 50 == 0 and logs and not math.isfinite(logs["loss"]):
                self._stop(f"step {batch}")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            entry: dict[str, Any] = {
                "epoch": len(self.epochs) + 1,
                "phase": self._phase.name,
                **{name: float(value) for name, value in (logs or {}).items()},
                "learning_rate": float(self.model.optimizer.learning_rate),
                "seconds": round(time.monotonic() - self._started, 2),
            }
            if not math.isfinite(entry["loss"]):
                self._stop("the end")
            self.epochs.append(entry)
            _log.info(
                "%s %d/%d  loss %.3f  accuracy %.3f  valid loss %.3f  accuracy %.3f  (%.0f s)",
                *(self._phase.name, epoch + 1, self._phase.epochs, entry["loss"]),
                *(entry["accuracy"], entry["val_loss"], entry["val_accuracy"], entry["seconds"]),
            )
            if entry["val_loss"] < self._best_loss:
                self._best_loss = entry["val_loss"]
                self.best_epoch = entry["epoch"]
                self.model.save_weights(checkpoint)

        def _stop(self, moment: str) -> None:
            epoch = len(self.epochs) + 1
            raise StepError(
                f"the loss is not a number at {moment} of epoch {epoch}: "
                "lower train.learning_rate (the best weights so far are kept)"
            )

    return WatchEpochs()
