"""The phases of a training: the head on a frozen backbone, then the backbone with it."""

import dataclasses
from typing import Any

from components.train.settings import TrainSettings
from darkroom.backbones.weights import RANDOM
from darkroom.errors import SettingsError
from darkroom.settings import nearest


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of the training.

    Attributes:
        name: `head`, `fine_tune` or `scratch`.
        epochs: Number of epochs, at most.
        learning_rate: Peak learning rate.
        backbone_trains: Whether the backbone's weights change.
        batch_norm_frozen: Whether its batch norm keeps statistics and weights.
        first_layer: Name of the backbone's first layer that trains; None: all do.
        depth_decay: Learning rate of the first layer that trains, as a part of the head's.
    """

    name: str
    epochs: int
    learning_rate: float
    backbone_trains: bool
    batch_norm_frozen: bool
    first_layer: str | None = None
    depth_decay: float = 1.0


def plan_phases(settings: TrainSettings, warm_start: bool = False) -> list[Phase]:
    """The phases that the settings ask for, in order.

    Args:
        settings: The train step's settings.
        warm_start: Whether a former model's head and backbone are there to start from.
    """
    if settings.weights == RANDOM and not warm_start:
        rate = settings.scaled(settings.learning_rate)
        return [Phase("scratch", settings.epochs, rate, True, False)]
    head = Phase("head", settings.epochs, settings.scaled(settings.learning_rate), False, True)
    if not settings.fine_tune_epochs:
        return [head]
    fine_tune = Phase(
        "fine_tune",
        settings.fine_tune_epochs,
        settings.scaled(settings.fine_tune_learning_rate),
        backbone_trains=True,
        batch_norm_frozen=settings.fine_tune_batch_norm == "frozen",
        first_layer=settings.fine_tune_from,
        depth_decay=settings.depth_decay,
    )
    # A former model's head fits its backbone already.
    return [fine_tune] if warm_start else [head, fine_tune]


def set_trainable(backbone: Any, phase: Phase) -> None:
    """Freezes and unfreezes the backbone's layers.

    Args:
        backbone: A keras.Model.
        phase: The phase to come.

    Raises:
        SettingsError: The backbone has no layer of the name that training is to begin at.
    """
    import keras

    backbone.trainable = phase.backbone_trains
    if not phase.backbone_trains:
        return
    names = [layer.name for layer in backbone.layers]
    if phase.first_layer is not None and phase.first_layer not in names:
        offer = nearest(phase.first_layer, names) if len(names) < 20 else _offer(phase, names)
        raise SettingsError(
            f"train.fine_tune_from: {backbone.name} has no layer {phase.first_layer!r}{offer}"
        )
    first = names.index(phase.first_layer) if phase.first_layer else 0
    for number, layer in enumerate(backbone.layers):
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= first and not (norm and phase.batch_norm_frozen)


def _offer(phase: Phase, names: list[str]) -> str:
    """The nearest of many names, without a list of all of them."""
    offer = nearest(str(phase.first_layer), names)
    return offer if "did you mean" in offer else f"; it has {names[0]} to {names[-1]}"


def rate_factors(backbone: Any, phase: Phase) -> dict[str, float]:
    """Factors on the learning rate of the backbone's weights by their path; all others take 1.

    They fall geometrically from the head down to `depth_decay` at the first layer that trains.
    """
    layers = [layer for layer in backbone.layers if layer.trainable_weights]
    return {
        weight.path: phase.depth_decay ** ((len(layers) - number) / len(layers))
        for number, layer in enumerate(layers)
        for weight in layer.trainable_weights
    }
