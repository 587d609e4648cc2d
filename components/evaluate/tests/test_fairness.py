"""Gaps between groups are fairlearn's, and bounds on them decide."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.sections import FAIRNESS
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.fairness import Gap, find_gaps
from components.evaluate.tests.small_artifacts import run_evaluate, table_of
from components.evaluate.verdict import judge
from darkroom.answers.answers import SingleLabelAnswers
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow

GROUPS = ("dark", "light", "rare")


def settings(**fairness: Any) -> EvaluateSettings:
    values = {"fairness": {"columns": ["tone"], **fairness}}
    return validate_settings(EvaluateSettings, values, "evaluate")


def made(seed: int, labels: int = 2) -> tuple[Any, SingleLabelAnswers, Any]:
    """400 answers that are more often wrong for `dark`; 10 are of the group `rare`."""
    generator = np.random.default_rng(seed)
    tones = generator.choice(GROUPS[:2], 400).astype(object)
    tones[:10] = "rare"
    indices = generator.integers(0, labels, 400)
    wrong = generator.random(400) < np.where(tones == "dark", 0.35, 0.1)
    guess = np.where(wrong, (indices + 1) % labels, indices)
    probabilities = np.eye(labels, dtype=np.float32)[guess]
    names = tuple("abc"[:labels])
    rows = [
        {"label": names[index], "label_index": int(index), "slices": {"tone": tone}}
        for index, tone in zip(indices, tones, strict=True)
    ]
    table = table_of(rows, labels, {"tone": "bytes"})
    return table, SingleLabelAnswers(names, probabilities, indices), tones


def found(table: Any, answers: SingleLabelAnswers, **fairness: Any) -> dict[str, Gap]:
    return {gap.measure: gap for gap in find_gaps(table, answers, settings(**fairness))}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gaps_are_fairlearns(seed: int) -> None:
    from fairlearn import metrics as fairlearn

    table, answers, tones = made(seed)
    gaps = found(table, answers, label="b")
    kept = tones != "rare"
    true, given = answers.indices[kept] == 1, answers.predicted[kept] == 1
    options: dict[str, Any] = {"sensitive_features": tones[kept]}
    odds = fairlearn.equalized_odds_difference(true, given, **options)
    assert gaps["equalized_odds_gap"].value == pytest.approx(odds, abs=1e-9)
    parity = fairlearn.demographic_parity_difference(true, given, **options)
    assert gaps["selection_gap"].value == pytest.approx(parity, abs=1e-9)
    ratio = fairlearn.demographic_parity_ratio(true, given, **options)
    assert gaps["selection_ratio"].value == pytest.approx(ratio, abs=1e-9)
    for name, metric in (
        ("recall_gap", fairlearn.true_positive_rate_difference),
        ("false_positive_gap", fairlearn.false_positive_rate_difference),
    ):
        assert gaps[name].value == pytest.approx(metric(true, given, **options), abs=1e-9)
    assert set(gaps["recall_gap"].groups) == {"dark", "light"}  # rare is too small


def test_of_several_labels_the_widest_gap_counts() -> None:
    table, answers, _ = made(4, labels=3)
    worst = found(table, answers)
    each = [found(table, answers, label=label) for label in answers.labels]
    for measure in FAIRNESS:
        values = [gaps[measure].value or 0.0 for gaps in each]
        expected = min(values) if measure == "selection_ratio" else max(values)
        assert worst[measure].value == pytest.approx(expected)


def test_a_bound_decides_and_says_why() -> None:
    table, answers, _ = made(5)
    bounds = {"recall_gap": 0.05, "selection_ratio": 0.1}
    chosen = settings(label="b", bounds=bounds)
    gaps = find_gaps(table, answers, chosen)
    result = {"slice": {}, "count": 400, "metrics": {}}
    verdict = judge([result], chosen, gaps=gaps)
    assert not verdict.blessed
    (reason,) = verdict.reasons
    assert reason.startswith("recall_gap by tone is 0.")
    assert ", above 0.05, for the label b: 0." in reason
    assert "for dark" in reason
    assert "for light" in reason


@pytest.mark.parametrize("if_undecided", ["fail", "pass"])
def test_one_group_decides_nothing(if_undecided: str) -> None:
    table, answers, _ = made(6)
    fairness = {"columns": ["tone"], "bounds": {"recall_gap": 0.1}, "smallest_group": 300}
    chosen = validate_settings(
        EvaluateSettings, {"fairness": fairness, "if_undecided": if_undecided}, "evaluate"
    )
    gaps = find_gaps(table, answers, chosen)
    verdict = judge([{"slice": {}, "count": 400, "metrics": {}}], chosen, gaps=gaps)
    assert verdict.blessed is (if_undecided == "pass")
    assert all("nothing decides recall_gap by tone" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("fairness", "message"),
    [
        ({"bounds": {"recal_gap": 0.1}}, "did you mean 'recall_gap'"),
        ({"columns": [], "bounds": {"recall_gap": 0.1}}, "'bounds' needs 'columns'"),
        ({"bounds": {"recall_gap": 1.5}}, "less than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(fairness: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings(**fairness)


def test_the_report_shows_the_groups(
    digits_examples: Path, digits_model: Path, tmp_path: Path
) -> None:
    fairness = {"columns": ["scanner"], "bounds": {"recall_gap": 0.01}}
    verdict, _, report = run_evaluate(
        digits_examples, digits_model, {"fairness": fairness}, tmp_path
    )
    assert verdict == "not blessed"
    page = report.read_text(encoding="utf-8")
    assert "<h2>Fairness</h2>" in page
    assert "recall_gap by scanner is" in page
    wrong = {"fairness": {"columns": ["scaner"]}}
    with pytest.raises(SettingsError, match="did you mean 'scanner'"):
        run_evaluate(digits_examples, digits_model, wrong, tmp_path)
