"""Adam with decoupled weight decay, a ramp and a cosine, and slower rates for deeper layers."""

from collections.abc import Mapping
from typing import Any

from components.train.model.phases import Phase


def build_optimizer(
    phase: Phase,
    steps: int,
    weight_decay: float,
    variables: list[Any],
    factors: Mapping[str, float],
    scale_loss: bool,
) -> Any:
    """Builds AdamW on a linear ramp over the first tenth, then a cosine down to zero.

    Args:
        phase: States epochs and peak learning rate.
        steps: Steps an epoch.
        weight_decay: AdamW's; biases and the weights of norms, which are vectors, have none.
        variables: The weights to train.
        factors: On the learning rate of some of them, by path.
        scale_loss: Whether small gradients would be zero in the number format of the network.

    Returns:
        A built keras.Optimizer.
    """
    import keras

    total = phase.epochs * steps
    ramp = max(1, total // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, total - ramp),
        warmup_target=phase.learning_rate,
        warmup_steps=ramp,
    )
    optimizer = _depth_adamw(
        learning_rate=schedule,
        weight_decay=weight_decay,
        factors=[factors.get(variable.path, 1.0) for variable in variables],
    )
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    if scale_loss:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def _depth_adamw(*, factors: list[float], **arguments: Any) -> Any:
    import keras

    class DepthAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
        """AdamW with a factor on each weight's learning rate, in the weights' order."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            factor = factors[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * factor)

    return DepthAdamW(**arguments)
