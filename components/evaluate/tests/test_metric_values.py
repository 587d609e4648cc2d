"""Every metric is scikit-learn's on the same predictions: with ties, absent labels, one row."""

import math
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluate.slices.results import metric_value
from darkroom.answers.answers import MultiLabelAnswers, SingleLabelAnswers
from darkroom.answers.curves import curve
from darkroom.metrics import known_metrics

# scikit-learn warns of what is undefined.
pytestmark = pytest.mark.filterwarnings("ignore:::sklearn")
TOLERANCE = 1e-6


@st.composite
def single_label(draw: st.DrawFn) -> SingleLabelAnswers:
    """Answers with ties, labels without images, and certainty."""
    labels = draw(st.sampled_from([2, 2, 3, 5, 30, 1000]))
    rows = draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    known = draw(st.integers(1, labels))  # the others have no images
    levels = draw(st.sampled_from([1, 2, 5, 10_000]))
    scores = generator.integers(0, levels + 1, (rows, labels)).astype(float)
    scores[:, 0] += scores.sum(axis=1) == 0
    probabilities = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    costs = generator.integers(0, 9, (labels, labels)).astype(float)
    indices = generator.integers(0, known, rows)
    names = tuple(str(label) for label in range(labels))
    return SingleLabelAnswers(names, probabilities, indices, costs, 2.0)


def values_of(answers: Any) -> dict[str, float]:
    several = isinstance(answers, MultiLabelAnswers)
    values = {
        name: metric_value(metric, answers)
        for name, metric in known_metrics().items()
        if metric.applies(several, len(answers.labels))
    }
    return {name: value for name, value in values.items() if value is not None}


@settings(max_examples=150)
@given(single_label())
def test_one_label_each(answers: SingleLabelAnswers) -> None:
    true, probabilities = answers.indices, answers.probabilities
    predicted = probabilities.argmax(axis=1)
    present, every = np.unique(true), np.arange(len(answers.labels))
    of_present: dict[str, Any] = {"labels": present, "zero_division": 0}
    one_hot = np.eye(len(every))[true]
    expected = {
        "accuracy": sk.accuracy_score(true, predicted),
        "balanced_accuracy": sk.recall_score(true, predicted, average="macro", **of_present),
        "mean_cost": np.mean(np.asarray(answers.costs)[true, predicted]),
        "macro_f_beta": sk.fbeta_score(true, predicted, beta=2, average="macro", **of_present),
        "log_loss": sk.log_loss(true, probabilities, labels=every),
        "brier": sk.brier_score_loss(
            true if len(every) == 2 else one_hot,
            probabilities[:, 1] if len(every) == 2 else probabilities,
            **({"labels": every, "pos_label": 1} if len(every) == 2 else {}),
        ),
        "average_precision": np.mean(
            [sk.average_precision_score(true == one, probabilities[:, one]) for one in present]
        ),
    }
    for name in ("precision", "recall", "f1"):
        score = getattr(sk, f"{name}_score")
        for average in ("macro", "weighted"):
            expected[f"{average}_{name}"] = score(true, predicted, average=average, **of_present)
        expected[f"lowest_{name}"] = score(true, predicted, average=None, **of_present).min()
    if len(every) > 3:
        expected["top_3_accuracy"] = sk.top_k_accuracy_score(true, probabilities, k=3, labels=every)
    if len(present) > 1:
        expected["matthews"] = sk.matthews_corrcoef(true, predicted)
        expected["kappa"] = sk.cohen_kappa_score(true, predicted)
        areas = [sk.roc_auc_score(true == one, probabilities[:, one]) for one in present]
        expected |= {"auc": np.mean(areas), "lowest_auc": np.min(areas)}
    found = values_of(answers)
    del found["calibration_error"]  # in neither library; see test_metrics.py
    assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


@st.composite
def multi_label(draw: st.DrawFn) -> MultiLabelAnswers:
    """Answers of which some images have no label, and some labels no image."""
    labels, rows = draw(st.sampled_from([2, 3, 7])), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 1000]))
    probabilities = (generator.integers(0, levels, (rows, labels)) / levels).astype(np.float32)
    having = generator.random((rows, labels)) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    thresholds = generator.random(labels).astype(np.float32)
    names = tuple(str(label) for label in range(labels))
    return MultiLabelAnswers(names, probabilities, having, thresholds, 0.5)


@settings(max_examples=100)
@given(multi_label())
def test_several_labels_each(answers: MultiLabelAnswers) -> None:
    has, says, scores = answers.having, answers.predicted, answers.probabilities
    present = np.flatnonzero(has.any(axis=0))
    expected: dict[str, Any] = {
        "accuracy": sk.accuracy_score(has, says),
        "hamming_loss": sk.hamming_loss(has, says),
        "hamming_score": sk.jaccard_score(has, says, average="samples", zero_division=1.0),
        "log_loss": sk.log_loss(has.ravel(), scores.ravel(), labels=[False, True]),
        "brier": np.mean((has - scores.astype(float)) ** 2),
    }
    for name in ("precision", "recall", "f1"):
        score = getattr(sk, f"{name}_score")
        expected[f"micro_{name}"] = score(has, says, average="micro", zero_division=0)
        if len(present):
            options: dict[str, Any] = {"labels": present, "zero_division": 0}
            for average in ("macro", "weighted"):
                expected[f"{average}_{name}"] = score(has, says, average=average, **options)
            expected[f"lowest_{name}"] = min(score(has, says, average=None, **options))
    if len(present):
        expected["macro_f_beta"] = sk.fbeta_score(
            has, says, beta=0.5, labels=present, average="macro", zero_division=0
        )
        expected["average_precision"] = np.mean(
            [sk.average_precision_score(has[:, one], scores[:, one]) for one in present]
        )
    mixed = [one for one in present if not has[:, one].all()]
    if mixed:
        areas = [sk.roc_auc_score(has[:, one], scores[:, one]) for one in mixed]
        expected |= {"auc": np.mean(areas), "lowest_auc": np.min(areas)}
    found = values_of(answers)
    del found["calibration_error"]
    assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


@settings(max_examples=50)
@given(single_label())
def test_curves_are_scikit_learns(answers: SingleLabelAnswers) -> None:
    positive, scores = answers.has(0), answers.probabilities[:, 0]
    found = curve(positive, scores, points=None)
    precision, recall, thresholds = sk.precision_recall_curve(positive, scores)
    if positive.any():
        np.testing.assert_allclose(found.thresholds[::-1], thresholds)
        given_back = found.hits / (found.hits + found.false_alarms)
        np.testing.assert_allclose(given_back[::-1], precision[:-1])
        np.testing.assert_allclose((found.hits / found.positives)[::-1], recall[:-1])
    if positive.any() and not positive.all():
        false_rate, rate, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
        np.testing.assert_allclose(found.hits / found.positives, rate[1:])
        np.testing.assert_allclose(found.false_alarms / found.negatives, false_rate[1:])
    short = curve(positive, scores, points=5)
    assert len(short.hits) == min(5, len(found.hits))
    assert (short.hits[-1], short.thresholds[0]) == (found.hits[-1], found.thresholds[0])


def test_what_is_undefined_is_left_out_and_never_0() -> None:
    answers = SingleLabelAnswers(
        ("a", "b"), np.array([[0.9, 0.1]] * 3, np.float32), np.array([0, 0, 0])
    )
    found = values_of(answers)
    for name in ("auc", "lowest_auc", "matthews", "kappa", "mean_cost", "macro_f_beta"):
        assert name not in found
    assert found["accuracy"] == 1
    broken = SingleLabelAnswers(
        ("a", "b"), np.array([[np.nan, 0.1]] * 3, np.float32), np.array([0, 1, 0])
    )
    assert math.isnan(values_of(broken)["auc"])
    assert math.isnan(values_of(broken)["log_loss"])


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 1), st.floats(0.05, 0.95))
def test_a_positive_label(seed: int, rows: int, place: int, threshold: float) -> None:
    generator = np.random.default_rng(seed)
    own = generator.random(rows).astype(np.float32)
    probabilities = np.stack([1 - own, own], axis=1)
    indices = generator.integers(0, 2, rows)
    answers = SingleLabelAnswers(("a", "b"), probabilities, indices, positive=(place, threshold))
    chosen = probabilities[:, place] >= np.float32(threshold)
    has = indices == place
    assert (answers.predicted == np.where(chosen, place, 1 - place)).all()
    values = values_of(answers)
    assert values["accuracy"] == pytest.approx(sk.accuracy_score(has, chosen))
    for name, score in (
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
        ("f1", sk.f1_score),
    ):
        if has.any():
            assert values[f"positive_{name}"] == pytest.approx(score(has, chosen, zero_division=0))
        else:
            assert f"positive_{name}" not in values
    if has.all():
        assert "specificity" not in values
    else:
        assert values["specificity"] == pytest.approx(sk.recall_score(~has, ~chosen))
