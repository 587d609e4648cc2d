"""The phases of a training: first the head on a frozen backbone, then both; their optimizer."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from components.train.settings import TrainSettings
from darkroom.backbones.weights import RANDOM
from darkroom.errors import SettingsError
from darkroom.settings import nearest


@dataclasses.dataclass(frozen=True)
class Phase:
    """A phase of a training.

    Attributes:
        name: `head`, `fine_tune` or `scratch`.
        epochs: Maximum number of epochs.
        learning_rate: Peak learning rate.
        backbone_trains: Whether the backbone is trained.
        batch_norm_frozen: Whether its batch norm keeps its statistics and weights.
        first_layer: Name of the backbone's first trained layer; None: all are trained.
        depth_decay: Learning rate of the first trained layer, as a fraction of the head's.
    """

    name: str
    epochs: int
    learning_rate: float
    backbone_trains: bool
    batch_norm_frozen: bool
    first_layer: str | None = None
    depth_decay: float = 1.0


def plan_phases(settings: TrainSettings, warm_start: bool = False) -> list[Phase]:
    """Plans the phases for the settings, in order.

    Args:
        settings: The train step's settings.
        warm_start: Whether training starts from a former model's head and backbone.
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
        phase: The next phase.

    Raises:
        SettingsError: The backbone has no layer named `first_layer`.
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
    """Suggests the nearest of many names, without listing all."""
    offer = nearest(str(phase.first_layer), names)
    return offer if "did you mean" in offer else f"; it has {names[0]} to {names[-1]}"


def rate_factors(backbone: Any, phase: Phase) -> dict[str, float]:
    """Learning-rate factors of the backbone's weights, by their path; 1 for all others.

    They decrease geometrically from the head to `depth_decay` at the first trained layer.
    """
    layers = [layer for layer in backbone.layers if layer.trainable_weights]
    return {
        weight.path: phase.depth_decay ** ((len(layers) - number) / len(layers))
        for number, layer in enumerate(layers)
        for weight in layer.trainable_weights
    }


def build_optimizer(
    phase: Phase,
    steps: int,
    weight_decay: float,
    variables: list[Any],
    factors: Mapping[str, float],
    scale_loss: bool,
) -> Any:
    """Builds AdamW with linear warm-up over the first tenth of the steps, then cosine decay to 0.

    No step has learning rate 0: the first of `ramp` warm-up steps has peak / ramp.

    Args:
        phase: States epochs and peak learning rate.
        steps: Steps per epoch.
        weight_decay: Weight decay; not applied to vectors: biases and weights of norms.
        variables: The weights to train.
        factors: Factors on learning rate and weight decay, by the weight's path; 1 for all others.
        scale_loss: Whether to scale the loss, so that small gradients are not 0 in float16.

    Returns:
        A built keras.Optimizer.
    """
    import keras

    total = phase.epochs * steps
    ramp = max(1, total // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=phase.learning_rate / ramp,
        decay_steps=max(1, total - ramp),
        warmup_target=phase.learning_rate,
        warmup_steps=ramp,
    )
    optimizer = _depth_adamw(
        schedule,
        factors=[factors.get(variable.path, 1.0) for variable in variables],
        decays=[weight_decay if len(variable.shape) >= 2 else 0.0 for variable in variables],
    )
    if scale_loss:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def _depth_adamw(schedule: Any, *, factors: list[float], decays: list[float]) -> Any:
    import keras

    class DepthAdamW(keras.optimizers.Adam):  # type: ignore[misc]
        """AdamW with a factor on each weight's learning rate, and a decay, in the weights' order.

        Decoupled weight decay: Loshchilov and Hutter, https://arxiv.org/abs/1711.05101. Keras' own
        AdamW decays a weight by the whole learning rate, whatever rate the weight is trained at.
        """

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            index = self._get_variable_index(variable)
            rate = keras.ops.cast(learning_rate * factors[index], variable.dtype)
            if decays[index]:
                self.assign_sub(variable, variable * (decays[index] * rate))
            super().update_step(gradient, variable, rate)

    return DepthAdamW(learning_rate=schedule)
