"""The metrics are scikit-learn's, over all images and in every slice."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from darkroom.artifacts.predictions import read_prediction_rows
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

pytestmark = pytest.mark.slow

LABELS = [str(number) for number in range(10)]


def in_slice(run: Any, chosen: Callable[[Mapping[str, Any]], bool]) -> tuple[Any, Any, Any]:
    """Label indices [N], predicted indices [N] and probabilities [N, 10] of the chosen rows."""
    rows = [row for row in read_prediction_rows(run.evaluation.folder) if chosen(row)]
    true = np.array([row["label_index"] for row in rows])
    predicted = np.array([LABELS.index(row["predicted_label"]) for row in rows])
    return true, predicted, np.array([row["probabilities"] for row in rows])


def metrics_of(run: Any, **of_slice: Any) -> dict[str, float]:
    (result,) = [result for result in run.results if result["slice"] == of_slice]
    return dict(result["metrics"])


def test_every_test_example_is_predicted_once_with_its_own_values(digits_run: Any) -> None:
    rows = {row["image_id"]: row for row in read_prediction_rows(digits_run.evaluation.folder)}
    stored = [
        parsed_example(record)
        for shard in digits_run.examples.glob("test-*")
        for record in read_records(shard)
    ]
    assert sum(1 for _ in read_prediction_rows(digits_run.evaluation.folder)) == len(stored) == 300
    for example in stored:
        row = rows[example["image_id"][0].decode()]
        assert row["image_path"] == example["image_path"][0].decode()
        assert row["label"] == example["label"][0].decode() == LABELS[row["label_index"]]
        assert row["slices"]["scanner"] == example["scanner"][0].decode()
        assert row["slices"]["room"] == (example["room"][0] if "room" in example else None)


def test_probabilities_are_the_models_own_to_the_last_bit(digits_run: Any) -> None:
    import tensorflow as tf

    model = tf.saved_model.load(str(digits_run.model))
    records = list(read_records(sorted(digits_run.examples.glob("test-*"))[0]))[:64]
    outputs = model.signatures["from_examples"](examples=tf.constant(records))
    rows = {row["image_id"]: row for row in read_prediction_rows(digits_run.evaluation.folder)}
    stored = [rows[identity.decode()]["probabilities"] for identity in outputs["image_id"].numpy()]
    np.testing.assert_allclose(np.array(stored, np.float32), outputs["probabilities"], atol=1e-6)
    assert np.array_equal(np.array(stored, np.float32).astype(np.float64), np.array(stored))


SLICES: list[tuple[dict[str, Any], Callable[[Mapping[str, Any]], bool]]] = [
    ({}, lambda row: True),
    ({"scanner": "old"}, lambda row: row["slices"]["scanner"] == "old"),
    ({"scanner": "rare"}, lambda row: row["slices"]["scanner"] == "rare"),
    ({"room": 2}, lambda row: row["slices"]["room"] == 2),
    ({"label": "8"}, lambda row: row["label"] == "8"),
]


@pytest.mark.parametrize(
    ("of_slice", "chosen"), SLICES, ids=[str(of_slice) for of_slice, _ in SLICES]
)
def test_metrics_equal_scikit_learns(
    digits_run: Any, of_slice: dict[str, Any], chosen: Callable[[Mapping[str, Any]], bool]
) -> None:
    import sklearn.metrics as sk

    true, predicted, probabilities = in_slice(digits_run, chosen)
    metrics = metrics_of(digits_run, **of_slice)
    present = np.unique(true)
    averaged = {"labels": present, "average": "macro", "zero_division": 0}
    expected = {
        "accuracy": sk.accuracy_score(true, predicted),
        "macro_precision": sk.precision_score(true, predicted, **averaged),
        "macro_recall": sk.recall_score(true, predicted, **averaged),
        "balanced_accuracy": sk.recall_score(true, predicted, **averaged),
        "brier": np.mean(((probabilities - np.eye(10)[true]) ** 2).sum(axis=1)),
        "macro_f1": sk.f1_score(true, predicted, **averaged),
        "log_loss": sk.log_loss(true, probabilities.astype(np.float32), labels=range(10)),
        "top_3_accuracy": sk.top_k_accuracy_score(true, probabilities, k=3, labels=range(10)),
        "calibration_error": expected_calibration_error(true, predicted, probabilities),
    }
    weighted = averaged | {"average": "weighted"}
    for name in ("precision", "recall", "f1"):
        expected[f"weighted_{name}"] = getattr(sk, f"{name}_score")(true, predicted, **weighted)
    each = {"labels": present, "average": None, "zero_division": 0}
    expected["lowest_precision"] = sk.precision_score(true, predicted, **each).min()
    expected["lowest_recall"] = sk.recall_score(true, predicted, **each).min()
    expected["lowest_f1"] = sk.f1_score(true, predicted, **each).min()
    if len(present) > 1:
        areas = [sk.roc_auc_score(true == label, probabilities[:, label]) for label in present]
        expected["auc"] = np.mean(areas)
        expected["lowest_auc"] = np.min(areas)
        expected["matthews"] = sk.matthews_corrcoef(true, predicted)
        expected["kappa"] = sk.cohen_kappa_score(true, predicted)
    expected["average_precision"] = np.mean(
        [sk.average_precision_score(true == label, probabilities[:, label]) for label in present]
    )
    assert metrics == pytest.approx(expected, abs=1e-6)


def expected_calibration_error(true: Any, predicted: Any, probabilities: Any) -> float:
    top = probabilities.max(axis=1)
    bins = np.minimum(np.floor(top * 10), 9)
    error = 0.0
    for place in range(10):
        inside = bins == place
        if inside.any():
            accuracy = (true == predicted)[inside].mean()
            error += inside.mean() * abs(accuracy - top[inside].mean())
    return error


def test_labels_and_confusion_matrix_equal_scikit_learns(digits_run: Any) -> None:
    import sklearn.metrics as sk

    true, predicted, probabilities = in_slice(digits_run, lambda row: True)
    overall = digits_run.results[0]
    matrix = np.zeros((10, 10), int)
    for label, predicted_label, images in overall["confusion"]:
        matrix[LABELS.index(label), LABELS.index(predicted_label)] = images
    np.testing.assert_array_equal(matrix, sk.confusion_matrix(true, predicted))
    precision, recall, f1, count = sk.precision_recall_fscore_support(
        true, predicted, zero_division=0
    )
    for place, row in enumerate(overall["per_label"]):
        area = sk.roc_auc_score(true == place, probabilities[:, place])
        assert row == pytest.approx(
            {
                "label": str(place),
                "count": count[place],
                "precision": precision[place],
                "recall": recall[place],
                "f1": f1[place],
                "auc": area,
                "average_precision": sk.average_precision_score(
                    true == place, probabilities[:, place]
                ),
            }
        )


def test_slices_cover_the_images_that_have_the_feature(digits_run: Any) -> None:
    counts: dict[str, int] = {}
    for result in digits_run.results[1:]:
        (feature,) = result["slice"]
        counts[feature] = counts.get(feature, 0) + result["count"]
    assert digits_run.results[0]["slice"] == {}
    assert counts == {"label": 300, "scanner": 300, "room": 240}


def test_every_slice_has_the_interval_of_every_metric_that_it_has(digits_run: Any) -> None:
    for result in digits_run.results:
        known = {name for name, value in result["metrics"].items() if value is not None}
        assert set(result["intervals"]) == known, result["slice"]
        for name, (low, high) in result["intervals"].items():
            assert low <= high, name
    (scanned,) = (one for one in digits_run.results if one["slice"] == {"scanner": "old"})
    true, _, probabilities = in_slice(digits_run, lambda row: row["slices"]["scanner"] == "old")
    losses = -np.log(probabilities[np.arange(len(true)), true])
    low, high = scanned["intervals"]["log_loss"]
    error = losses.std() / np.sqrt(len(losses))
    assert low == pytest.approx(losses.mean() - 1.96 * error, abs=0.5 * error)
    assert high == pytest.approx(losses.mean() + 1.96 * error, abs=0.5 * error)


def test_keras_3_still_works_after_an_evaluation(digits_run: Any) -> None:
    import keras

    assert keras.version().startswith("3.")
    assert keras.layers.Dense(2)(np.ones((1, 3), np.float32)).shape == (1, 2)
