"""A training that starts from a former model's weights."""

import json
import logging
from pathlib import Path

import pytest

from components.train.settings import TrainSettings
from components.train.tests.conftest import SMALL_CNN, Transformed, train_small
from darkroom.artifacts.transformed import TransformGraph
from darkroom.errors import StepError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def former(transformed: Transformed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("former")
    train_small(transformed, out, epochs=3, learning_rate=0.01)
    return out / "model"


def test_a_former_model_is_the_start(
    transformed: Transformed, tmp_path: Path, former: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a learning rate of nearly zero, the losses are those of the former model."""
    logging.getLogger("darkroom").propagate = True
    before = json.loads((former / "history.json").read_text())
    best = before["epochs"][before["best_epoch"] - 1]
    with caplog.at_level(logging.INFO):
        history = train_small(
            transformed,
            tmp_path,
            from_model=str(former),
            fine_tune_epochs=1,
            fine_tune_learning_rate=1e-12,
            augmentation={"flip": True},
            dropout=0.3,
        )
    assert f"starts from the weights of {former}" in caplog.text
    assert [epoch["phase"] for epoch in history["epochs"]] == ["fine_tune"]
    assert history["epochs"][0]["val_loss"] == pytest.approx(best["val_loss"], rel=1e-4)


def test_other_labels_or_another_backbone_train_from_scratch(
    transformed: Transformed,
    graph: TransformGraph,
    tmp_path: Path,
    former: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import dataclasses

    from components.train.model.network import former_weights

    logging.getLogger("darkroom").propagate = True
    settings = TrainSettings.model_validate(SMALL_CNN | {"from_model": str(former)})
    assert former_weights(settings, graph) is not None
    fewer = dataclasses.replace(graph, labels=graph.labels[:2])
    assert former_weights(settings, fewer) is None
    assert f"trains from scratch, not from {former}: its 3 labels differ" in caplog.text
    other = settings.model_copy(update={"backbone": "MobileNetV2"})
    assert former_weights(other, graph) is None
    assert "its backbone is small_cnn" in caplog.text
    with pytest.raises(StepError, match=r"nowhere does not exist"):
        train_small(transformed, tmp_path, from_model=str(tmp_path / "nowhere"))
