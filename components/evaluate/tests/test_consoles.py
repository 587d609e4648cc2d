"""Kubeflow's and Vertex's consoles are given the figures, as kfp's artifacts hold them."""

import json
from pathlib import Path

import pytest
import sklearn.metrics as sk
from kfp.dsl import ClassificationMetrics, Metrics

from components.evaluate.consoles import log_metrics
from components.evaluate.tests.conftest import Run
from darkroom.artifacts.predictions import read_prediction_rows

pytestmark = pytest.mark.slow


def test_metrics_matrix_and_curve_are_those_of_the_evaluation(
    digits_run: Run, tmp_path: Path
) -> None:
    metrics = Metrics(uri=str(tmp_path / "outputs" / "metrics"))
    classification = ClassificationMetrics(uri=str(tmp_path / "outputs" / "classification"))
    log_metrics(str(digits_run.evaluation.folder), metrics, classification)
    assert metrics.metadata == digits_run.evaluation.metrics
    rows = list(read_prediction_rows(digits_run.evaluation.folder))
    labels = list(digits_run.evaluation.labels)
    matrix = classification.metadata["confusionMatrix"]
    assert [one["displayName"] for one in matrix["annotationSpecs"]] == labels
    true, predicted = ([row[name] for row in rows] for name in ("label", "predicted_label"))
    expected = sk.confusion_matrix(true, predicted, labels=labels).tolist()
    assert [row["row"] for row in matrix["rows"]] == expected
    points = classification.metadata["confidenceMetrics"]
    rates = [point["falsePositiveRate"] for point in points]
    recalls = [point["recall"] for point in points]
    assert len(points) <= 100
    assert (rates[-1], recalls[-1]) == (1, 1)
    one_hot = [[row["label"] == label for label in labels] for row in rows]
    area = sk.roc_auc_score(
        [has for row in one_hot for has in row],
        [probability for row in rows for probability in row["probabilities"]],
    )
    assert sk.auc([0, *rates], [0, *recalls]) == pytest.approx(area, abs=0.01)
    for artifact in (metrics, classification):
        assert json.loads(Path(artifact.path).read_text()) == artifact.metadata
