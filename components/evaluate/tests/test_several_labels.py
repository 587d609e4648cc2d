"""A multi-label model: the metrics are scikit-learn's, over all images and in every slice."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.tests.small_artifacts import (
    png,
    read_results,
    run_evaluate,
    write_examples,
    write_model,
)
from components.evaluate.tests.test_report import Page, assert_loads_nothing
from darkroom.artifacts.evaluation import Evaluation, read_evaluation
from darkroom.artifacts.predictions import read_prediction_rows
from darkroom.errors import SettingsError, StepError

pytestmark = pytest.mark.slow

LABELS = ["bottom left", "bottom right", "top left", "top right"]
THRESHOLDS = [float(np.float32(value)) for value in (0.5, 0.3, 0.55, 0.8)]
IMAGES = 240
SETTINGS = {
    "slices": ["label", "room"],
    "thresholds": {"macro_f1": 0.5, "lowest_f1": 0.99, "accuracy": {"every_slice_at_least": 0.1}},
}


@dataclasses.dataclass(frozen=True)
class Run:
    examples: Path
    model: Path
    verdict: str
    evaluation: Evaluation
    results: list[dict[str, Any]]
    report: str


def rows_of_images() -> list[dict[str, Any]]:
    """Images with some bright quarters, which are the labels, under much noise."""
    generator = np.random.default_rng(2)
    rows = []
    for number in range(IMAGES):
        has = generator.random(4) < 0.4
        has[number % 4] |= not has.any()
        bright = np.kron(has[[2, 3, 0, 1]].reshape(2, 2), np.ones((4, 4))) * 80 + 60
        pixels = np.clip(generator.normal(bright, 130), 0, 255).astype(np.uint8)
        labels = [label for label, one in zip(LABELS, has, strict=True) if one]
        row = {
            "image_bytes": png(pixels),
            "image_path": f"quarters/{number}.png",
            "label": " ".join(labels),
            "labels": labels,
        }
        rows.append(row | ({"room": number % 3} if number % 5 else {}))
    return rows


def write_quarters_model(folder: Path, **options: Any) -> Path:
    quarters = [np.kron(np.eye(4)[place].reshape(2, 2), np.ones((4, 4))) for place in (2, 3, 0, 1)]
    weights = np.stack([quarter.ravel() for quarter in quarters], axis=1).astype(np.float32)
    bias = np.full(4, -0.45 * 16, np.float32)
    return write_model(folder, LABELS, weights, bias, thresholds=THRESHOLDS, **options)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quarters") / "examples"
    return write_examples(folder, rows_of_images(), {"room": "int"})


@pytest.fixture(scope="module")
def run(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    output = tmp_path_factory.mktemp("quarters")
    model = write_quarters_model(output / "model")
    verdict, evaluation, report = run_evaluate(examples, model, SETTINGS, output)
    return Run(
        examples=examples,
        model=model,
        verdict=verdict,
        evaluation=read_evaluation(evaluation),
        results=read_results(evaluation),
        report=report.read_text(encoding="utf-8"),
    )


def indicators(rows: list[dict[str, Any]], name: str) -> Any:
    return np.array([[label in row[name] for label in LABELS] for row in rows])


def chosen_rows(run: Run, of_slice: dict[str, Any]) -> list[dict[str, Any]]:
    def fits(row: dict[str, Any]) -> bool:
        if "label" in of_slice:
            return of_slice["label"] in row["labels"]
        return all(row["slices"][name] == value for name, value in of_slice.items())

    return [row for row in read_prediction_rows(run.evaluation.folder) if fits(row)]


def test_predictions_name_all_labels(run: Run) -> None:
    rows = list(read_prediction_rows(run.evaluation.folder))
    given = {row["image_path"]: row for row in rows_of_images()}
    assert len(rows) == IMAGES
    for row in rows:
        assert row["labels"] == given[row["image_path"]]["labels"] == row["slices"]["label"]
        assert [LABELS[index] for index in row["label_indices"]] == row["labels"]
    probabilities = np.array([row["probabilities"] for row in rows])
    assert np.array_equal(indicators(rows, "predicted_labels"), probabilities >= THRESHOLDS)


@pytest.mark.parametrize("of_slice", [{}, {"room": 2}, {"label": "top left"}], ids=str)
def test_metrics_equal_scikit_learns(run: Run, of_slice: dict[str, Any]) -> None:
    import sklearn.metrics as sk

    rows = chosen_rows(run, of_slice)
    (result,) = [result for result in run.results if result["slice"] == of_slice]
    assert result["count"] == len(rows) > 50
    has, says = indicators(rows, "labels"), indicators(rows, "predicted_labels")
    probabilities = np.array([row["probabilities"] for row in rows])
    expected = {"accuracy": sk.accuracy_score(has, says)}
    for average in ("micro", "macro", "weighted"):
        for name in ("precision", "recall", "f1"):
            score = getattr(sk, f"{name}_score")
            expected[f"{average}_{name}"] = score(has, says, average=average, zero_division=0)
    for name in ("precision", "recall", "f1"):
        score = getattr(sk, f"{name}_score")
        expected[f"lowest_{name}"] = min(score(has, says, average=None, zero_division=0))
    expected["hamming_loss"] = sk.hamming_loss(has, says)
    expected["hamming_score"] = sk.jaccard_score(has, says, average="samples", zero_division=1.0)
    expected["brier"] = np.mean((has - probabilities) ** 2)
    expected["average_precision"] = sk.average_precision_score(has, probabilities)
    mixed = [place for place in range(4) if not has[:, place].all()]
    expected["auc"] = sk.roc_auc_score(has[:, mixed], probabilities[:, mixed])
    areas = [sk.roc_auc_score(has[:, place], probabilities[:, place]) for place in mixed]
    expected["lowest_auc"] = min(areas)
    # Every label of every image is a question of two answers.
    expected["log_loss"] = sk.log_loss(has.ravel(), probabilities.ravel())
    error = 0.0
    bins = np.minimum(np.floor(probabilities * 10), 9)
    for place in range(10):
        inside = bins == place
        if inside.any():
            error += inside.mean() * abs(has[inside].mean() - probabilities[inside].mean())
    expected["calibration_error"] = error
    assert result["metrics"] == pytest.approx(expected, abs=1e-6)
    assert 0.3 < result["metrics"]["accuracy"] < 0.9


def test_each_label_has_its_own_row(run: Run) -> None:
    import sklearn.metrics as sk

    rows = list(read_prediction_rows(run.evaluation.folder))
    has, says = indicators(rows, "labels"), indicators(rows, "predicted_labels")
    probabilities = np.array([row["probabilities"] for row in rows])
    precision, recall, f1, count = sk.precision_recall_fscore_support(has, says)
    for place, row in enumerate(run.results[0]["per_label"]):
        scores = probabilities[:, place]
        assert row == pytest.approx(
            {
                "label": LABELS[place],
                "count": count[place],
                "threshold": THRESHOLDS[place],
                "precision": precision[place],
                "recall": recall[place],
                "f1": f1[place],
                "average_precision": sk.average_precision_score(has[:, place], scores),
                "auc": sk.roc_auc_score(has[:, place], scores),
            }
        )
    assert "confusion" not in run.results[0]


def test_thresholds_decide_over_its_metrics(run: Run) -> None:
    assert run.verdict == "not blessed"
    assert run.evaluation.manifest["multi_label"] is True
    (reason,) = run.evaluation.reasons
    assert reason.startswith("lowest_f1 0.")
    assert reason.endswith("is below 0.99")


def test_the_report_shows_labels_and_no_confusion(run: Run) -> None:
    assert_loads_nothing(run.report)
    texts = Page(run.report).texts
    assert {"Threshold", "Average precision", "Micro F1", "Lowest F1"} <= set(texts)
    assert "Confusion matrix" not in texts
    assert {"top left", "0.800", "Sliced by label", "Sliced by room"} <= set(texts)


def test_mistakes_come_in_the_order_of_the_surest_error(run: Run) -> None:
    found = []
    for row in read_prediction_rows(run.evaluation.folder):
        for label, probability in zip(LABELS, row["probabilities"], strict=True):
            said = label in row["predicted_labels"]
            if said != (label in row["labels"]):
                sureness = probability if said else 1 - probability
                found.append((sureness, row["image_path"], label))
    surest: dict[str, tuple[float, str, str]] = {}
    for entry in sorted(found):
        surest[entry[1]] = entry
    worst = sorted(surest.values(), reverse=True)[:24]
    texts = Page(run.report).texts
    shown = [text for text in texts if text.startswith("quarters/")]
    assert shown[: len(worst)] == [path for _, path, _ in worst]
    notes = [text for text in texts if "sure, and wrong, about" in text]
    assert notes == [f"{s:.3f} sure, and wrong, about {label}" for s, _, label in worst]


def test_what_is_not_a_number_is_no_label(examples: Path, tmp_path: Path) -> None:
    rows = rows_of_images()[:30]
    rows[7]["image_bytes"] = png(np.zeros((8, 8), np.uint8))
    black = write_examples(tmp_path / "examples", rows, {"room": "int"})
    model = write_quarters_model(tmp_path / "model", sure_of_dark=False)
    verdict, evaluation, _ = run_evaluate(black, model, {"slices": ["room"]}, tmp_path)
    stored = read_evaluation(evaluation)
    assert verdict == "not blessed"
    assert stored.reasons == ("the probabilities of 1 image are not numbers",)
    for name in ("log_loss", "auc", "average_precision", "calibration_error"):
        assert stored.metrics[name] is None
    assert stored.metrics["accuracy"] is not None


def test_what_does_not_fit_together_is_refused(
    run: Run, digits_examples: Path, digits_model: Path, tmp_path: Path
) -> None:
    def refused(
        error: type[Exception], message: str, examples: Path, model: Path, **thresholds: float
    ) -> None:
        with pytest.raises(error, match=message):
            run_evaluate(examples, model, {"thresholds": thresholds}, tmp_path)

    pair = run.examples, run.model
    refused(SettingsError, "top_3_accuracy' is for images of one label", *pair, top_3_accuracy=1)
    pair = digits_examples, digits_model
    refused(SettingsError, "micro_f1' is for images of several labels", *pair, micro_f1=0.5)
    refused(StepError, "have several labels an image", run.examples, digits_model)
    refused(StepError, "have one label an image", digits_examples, run.model)
    assert list(tmp_path.iterdir()) == []


def test_it_is_compared_with_a_champion_of_other_thresholds_and_order(
    run: Run, examples: Path, tmp_path: Path
) -> None:
    quarters = [np.kron(row.reshape(2, 2), np.ones((4, 4))).ravel() for row in np.eye(4)]
    order = [3, 1, 0, 2]
    # Columns of weights in the order of LABELS, as `write_quarters_model` has them, and turned.
    columns = np.stack([quarters[place] for place in (2, 3, 0, 1)], axis=1).astype(np.float32)
    champion = write_model(
        tmp_path / "champion",
        [LABELS[place] for place in order],
        columns[:, order],
        np.full(4, -0.45 * 16, np.float32),
        thresholds=[0.9, 0.9, 0.9, 0.9],
    )
    metrics = {"accuracy": {"not_worse_by": 0}, "macro_f1": {"not_worse_by": 0}}
    settings = {
        "slices": ["label"],
        "baseline": str(champion),
        "against_baseline": metrics | {"average_precision": {"not_worse_by": 0}},
    }
    run_evaluate(examples, run.model, settings, tmp_path)
    verdict = json.loads((tmp_path / "evaluation" / "verdict.json").read_text())
    found = {each["metric"]: each for each in verdict["comparison"]["overall"]}
    assert found["accuracy"]["challenger"] == pytest.approx(run.evaluation.metrics["accuracy"])
    assert found["macro_f1"]["challenger"] == pytest.approx(run.evaluation.metrics["macro_f1"])
    # It has the same probabilities, for which no threshold counts.
    assert found["average_precision"]["gain"] == 0
    rows = list(read_prediction_rows(run.evaluation.folder))
    probabilities = np.array([row["probabilities"] for row in rows])
    exactly = (probabilities >= 0.9) == indicators(rows, "labels")
    assert found["accuracy"]["champion"] == pytest.approx(exactly.all(axis=1).mean())
