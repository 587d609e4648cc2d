"""A temperature makes probabilities honest, and changes no label."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.train.export import calibration
from components.train.export.calibration import best_temperature, tempered
from components.train.settings import TrainSettings
from components.train.tests.conftest import SMALL_CNN, Transformed
from components.train.train import train
from darkroom.artifacts.manifest import read_manifest
from darkroom.artifacts.model import KIND
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_a_planted_temperature_is_found(planted: float) -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 2, (4000, 5))
    honest = softmax(logits)
    labels = np.eye(5)[[generator.choice(5, p=row) for row in honest]]
    found = best_temperature(labels, softmax(logits * planted).astype(np.float32), False)
    assert found == pytest.approx(planted, rel=0.08)
    several = generator.random((4000, 5)) < 1 / (1 + np.exp(-logits))
    sure = (1 / (1 + np.exp(-logits * planted))).astype(np.float32)
    assert best_temperature(several, sure, True) == pytest.approx(planted, rel=0.08)


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5), st.booleans())
def test_the_order_of_labels_stays(seed: int, temperature: float, several: bool) -> None:
    scores = np.random.default_rng(seed).dirichlet(np.ones(6), 20).astype(np.float32)
    changed = tempered(scores, temperature, several)
    assert (changed.argsort(axis=1) == scores.argsort(axis=1)).all()
    assert np.isfinite(changed).all()
    assert ((changed >= 0) & (changed <= 1)).all()


def test_of_certainty_stays_certainty() -> None:
    certain = np.array([[1.0, 0.0]], np.float32)
    assert tempered(certain, 0.5, False)[0] == pytest.approx([1, 0])
    assert tempered(certain, 0.5, True)[0] == pytest.approx([1, 0])


def answers(transformed: Transformed, folder: Path, kind: str) -> tuple[Any, dict[str, Any]]:
    import tensorflow as tf

    values = SMALL_CNN | {"epochs": 2, "calibration": kind}
    settings = validate_settings(TrainSettings, values, "train")
    model = folder / "model"
    train(
        *(transformed.records, transformed.graph, settings),
        model=model,
        checkpoints=folder / "checkpoints",
    )
    signature = tf.saved_model.load(str(model)).signatures["xai_model"]
    images = tf.constant(transformed.pixels["test"], tf.float32)
    return signature(input_images=images)["probabilities"].numpy(), read_manifest(model, KIND)


def test_what_is_exported_is_calibrated(
    transformed: Transformed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, manifest = answers(transformed, tmp_path / "plain", "none")
    assert manifest["temperature"] == 1.0
    few, manifest = answers(transformed, tmp_path / "few", "temperature")
    assert manifest["temperature"] == 1.0  # of 24 valid photographs
    assert few == pytest.approx(plain, abs=1e-6)
    monkeypatch.setattr(calibration, "FEWEST", 10)
    changed, manifest = answers(transformed, tmp_path / "changed", "temperature")
    temperature = manifest["temperature"]
    assert abs(temperature - 1) > 0.05
    assert changed == pytest.approx(tempered(plain, temperature, False), abs=1e-5)
