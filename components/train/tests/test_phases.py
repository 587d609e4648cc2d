"""Phases and their optimizer: rates, frozen layers, weight decay; and weighted losses."""

import numpy as np
import pytest

from components.train.model.losses import SingleLabelLoss, balanced_weights
from components.train.model.network import Network
from components.train.model.phases import (
    Phase,
    build_optimizer,
    plan_phases,
    rate_factors,
    set_trainable,
)
from components.train.settings import TrainSettings
from components.train.tests.conftest import SMALL_CNN
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow


def test_rates_scale_with_the_batch_they_were_found_with() -> None:
    values = SMALL_CNN | {"weights": "w.h5", "fine_tune_epochs": 2, "batch_size": 128}
    plain = plan_phases(TrainSettings.model_validate(values))
    scaled = plan_phases(TrainSettings.model_validate(values | {"learning_rate_batch_size": 32}))
    assert [phase.name for phase in plain] == ["head", "fine_tune"]
    assert [phase.learning_rate for phase in plain] == [1e-3, 2e-4]
    assert [phase.learning_rate for phase in scaled] == pytest.approx([4e-3, 8e-4])


def test_layers_freeze_as_the_phase_says(network: Network) -> None:
    backbone = network.backbone
    names = [layer.name for layer in backbone.layers]
    convolutions = [name for name in names if "conv" in name]
    norms = [layer for layer in backbone.layers if "batch_normalization" in layer.name]

    def trained() -> set[str]:
        return {layer.name for layer in backbone.layers if layer.trainable_weights}

    set_trainable(backbone, Phase("head", 1, 0.1, False, True))
    assert trained() == set()
    set_trainable(backbone, Phase("fine_tune", 1, 0.1, True, True, convolutions[1]))
    assert trained() == set(convolutions[1:])
    set_trainable(backbone, Phase("fine_tune", 1, 0.1, True, False, convolutions[1]))
    assert trained() == {*convolutions[1:], *(norm.name for norm in norms[1:])}
    wrong = convolutions[1][:-1] + "x"
    with pytest.raises(SettingsError, match=r"train.fine_tune_from: .* did you mean 'conv2d"):
        set_trainable(backbone, Phase("fine_tune", 1, 0.1, True, True, wrong))


def test_deeper_layers_step_less(network: Network) -> None:
    """With a gradient of one everywhere, Adam's first step is the learning rate itself."""
    import tensorflow as tf

    phase = Phase("fine_tune", 1, 0.1, True, True, depth_decay=0.125)
    set_trainable(network.backbone, phase)
    variables = network.model.trainable_variables
    factors = rate_factors(network.backbone, phase)
    optimizer = build_optimizer(phase, 10, 0.0, variables, factors, scale_loss=False)
    before = [variable.numpy() for variable in variables]
    optimizer.apply([tf.ones_like(variable.value) for variable in variables], variables)
    steps = [np.abs(v.numpy() - b).mean() for v, b in zip(variables, before, strict=True)]
    assert [step / steps[-1] for step in steps] == pytest.approx([0.125, 0.25, 0.5, 1, 1], rel=1e-3)


def test_no_step_has_learning_rate_0() -> None:
    """A training of a single step trains."""
    import keras

    for steps in (1, 2, 10, 100):
        variables = [keras.Variable(np.zeros((2, 2), np.float32))]
        optimizer = build_optimizer(
            Phase("head", 1, 0.1, True, True), steps, 0.0, variables, {}, scale_loss=False
        )
        rates = []
        for step in range(steps):
            optimizer.iterations.assign(step)
            rates.append(float(optimizer.learning_rate))
        assert min(rates) > 0
        assert max(rates) == pytest.approx(0.1)


def test_deeper_layers_decay_less(network: Network) -> None:
    import tensorflow as tf

    phase = Phase("fine_tune", 1, 0.1, True, True, depth_decay=0.125)
    set_trainable(network.backbone, phase)
    variables = network.model.trainable_variables
    factors = rate_factors(network.backbone, phase)
    optimizer = build_optimizer(phase, 10, 0.5, variables, factors, scale_loss=False)
    before = [variable.numpy() for variable in variables]
    optimizer.apply([tf.zeros_like(variable.value) for variable in variables], variables)
    for variable, value in zip(variables, before, strict=True):
        if len(variable.shape) >= 2:
            kept = 1 - 0.1 * 0.5 * factors.get(variable.path, 1.0)
            assert variable.numpy() == pytest.approx(value * kept, rel=1e-5)


def test_weight_decay_spares_vectors(network: Network) -> None:
    import tensorflow as tf

    phase = Phase("scratch", 1, 0.1, True, False)
    set_trainable(network.backbone, phase)
    variables = network.model.trainable_variables
    optimizer = build_optimizer(phase, 10, 0.5, variables, {}, scale_loss=False)
    before = [variable.numpy() for variable in variables]
    optimizer.apply([tf.zeros_like(variable.value) for variable in variables], variables)
    for variable, value in zip(variables, before, strict=True):
        kept = 1 if len(variable.shape) < 2 else 1 - 0.1 * 0.5
        assert variable.numpy() == pytest.approx(value * kept, rel=1e-5)


def test_balanced_weights_make_up_for_rarity() -> None:
    counts = np.array([60, 30, 10, 0])
    weights = balanced_weights(counts)
    assert (weights * counts)[:3] == pytest.approx([100 / 3] * 3)
    assert weights[3] == 0
    loss = SingleLabelLoss(class_weights=weights)
    assert loss.weights(np.eye(4, dtype=np.float32)).numpy() == pytest.approx(weights)


def test_smoothing_and_hits_are_measured() -> None:
    labels = np.eye(4, dtype=np.float32)[[0, 1]]
    probabilities = np.array([[0.7, 0.1, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1]], np.float32)
    measures = SingleLabelLoss(label_smoothing=0.2).measure(labels, probabilities).numpy()
    smooth = labels * 0.8 + 0.05
    assert measures[:, 0] == pytest.approx(-(smooth * np.log(probabilities)).sum(1), rel=1e-5)
    assert measures[:, 1].tolist() == [1, 0]
