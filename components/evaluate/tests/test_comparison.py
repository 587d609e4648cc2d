"""A new model is scored beside the champion, and only what is no worse is blessed."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.comparison.champion import _may_have_seen
from components.evaluate.comparison.compare import Comparison, compare
from components.evaluate.comparison.decision import doubts, failures
from components.evaluate.evaluate import _alike, evaluate
from components.evaluate.settings import EvaluateSettings
from components.evaluate.tests.conftest import Run
from components.evaluate.tests.small_artifacts import table_of, write_model
from darkroom.answers.answers import SingleLabelAnswers
from darkroom.artifacts.champion import model_folder, write_champion
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Decision, Model
from darkroom.artifacts.predictions import probability_array, read_prediction_rows
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow


def settings(**values: Any) -> EvaluateSettings:
    return validate_settings(EvaluateSettings, values, "evaluate")


def row(label: str, new: str, old: str, room: int = 0) -> dict[str, Any]:
    def answer(guess: str) -> dict[str, Any]:
        sure = [0.9, 0.1] if guess == "a" else [0.1, 0.9]
        return {"predicted_label": guess, "probabilities": sure}

    place = "ab".index(label)
    known = {"label": label, "label_index": place, "slices": {"label": label, "room": room}}
    return {**known, **answer(new), "champion": answer(old)}


def rows(both: int, newly_right: int, newly_wrong: int, neither: int = 0) -> list[dict[str, Any]]:
    return (
        [row("a", "a", "a")] * both
        + [row("b", "b", "a", room=1)] * newly_right
        + [row("b", "a", "b", room=2)] * newly_wrong
        + [row("a", "b", "b", room=3)] * neither
    )


def compared(*counts: int, metrics: tuple[str, ...] = ("accuracy",)) -> Comparison:
    table = table_of(rows(*counts), 2, {"label": "bytes", "room": "int"})
    indices = table["label_index"].to_numpy()
    answers = [
        SingleLabelAnswers(("a", "b"), probability_array(table, champion), indices)
        for champion in (False, True)
    ]
    against = {name: {"not_worse_by": 0} for name in metrics}
    chosen = settings(slices=["label", "room"], against_baseline=against)
    return compare(table, "version 1", (answers[0], answers[1]), chosen)


@pytest.mark.parametrize(
    ("counts", "margins", "holds"),
    [
        ((80, 0, 0, 20), {"not_worse_by": 0}, True),  # equal
        ((80, 0, 0, 20), {"better_by": 0}, False),
        ((80, 0, 0, 20), {"surely_not_worse_by": 0.001}, False),
        ((70, 2, 6, 22), {"not_worse_by": 0}, True),  # worse, but within noise
        ((70, 1, 15, 14), {"not_worse_by": 0}, False),
        ((70, 1, 15, 14), {"not_worse_by": 0.1}, True),  # not surely worse by more
        ((700, 10, 150, 140), {"not_worse_by": 0.1}, False),
        ((70, 15, 1, 14), {"better_by": 0}, True),
        ((70, 15, 1, 14), {"better_by": 0.1}, False),
        ((700, 150, 10, 140), {"better_by": 0.1}, True),
        ((9000, 10, 10, 980), {"surely_not_worse_by": 0.01}, True),
    ],
)
def test_margins_decide_by_the_interval(
    counts: tuple[int, ...], margins: dict[str, float], holds: bool
) -> None:
    found = failures(compared(*counts), settings(against_baseline={"accuracy": margins}))
    assert (found == []) is holds


def test_a_difference_is_that_of_the_images() -> None:
    found = compared(70, 5, 12, 13, metrics=("log_loss", "macro_f1"))
    accuracy, log_loss, macro_f1 = found.overall
    assert (accuracy.challenger, accuracy.champion) == (0.75, 0.82)
    assert accuracy.gain == pytest.approx(-0.07)
    assert (accuracy.newly_right, accuracy.newly_wrong) == (5, 12)
    # Lower is better: a rise is no gain.
    loss = [-np.log(0.9) * share - np.log(0.1) * (1 - share) for share in (0.75, 0.82)]
    assert (log_loss.challenger, log_loss.champion) == pytest.approx(tuple(loss), rel=1e-6)
    assert log_loss.gain == pytest.approx(loss[1] - loss[0], rel=1e-6)
    for each in (log_loss, macro_f1):
        assert each.low is not None
        assert each.gain is not None
        assert each.high is not None
        assert each.low < each.gain < each.high
    by_slice = {tuple(each.slice.items()): each for each in found.slices}
    assert by_slice[("label", "b"),].count == 17
    assert by_slice[("room", 2),].gain == -1
    assert by_slice[("room", 1),].gain == 1


def test_a_slice_that_is_worse_is_named_though_all_images_are_not() -> None:
    comparison = compared(200, 14, 14)
    assert failures(comparison, settings()) == []
    (line,) = doubts(comparison, settings())
    assert line.startswith("for room=2: accuracy 0.000 beside 1.000 of version 1: worse by 1.000")


def test_margins_of_some_photographs_and_of_all_others() -> None:
    rows_of = [*rows(200, 0, 0), *(row("b", "b", "a", room=9) for _ in range(30))]
    rows_of += [row("b", "a", "b", room=2) for _ in range(4)]
    table = table_of(rows_of, 2, {"label": "bytes", "room": "int"})
    indices = table["label_index"].to_numpy()
    new, old = (
        SingleLabelAnswers(("a", "b"), probability_array(table, champion), indices)
        for champion in (False, True)
    )
    margins = {
        "accuracy of room=9": {"not_worse_by": 0, "better_by": 0},
        "accuracy of room!=9": {"not_worse_by": 0},
        "accuracy of room=2": {"surely_not_worse_by": 0.1},
        "accuracy of room=77": {"not_worse_by": 0},
    }
    chosen = settings(slices=["label"], against_baseline=margins)
    assert chosen.sliced_columns == ("label", "room")
    found = compare(table, "version 1", (new, old), chosen)
    assert {key: each.count for key, each in found.shares.items()} == {
        "accuracy of room=9": 30,
        "accuracy of room!=9": 204,
        "accuracy of room=2": 4,
    }
    (line,) = failures(found, chosen)
    assert line.startswith("room=2: accuracy 0.000 beside 1.000 of version 1: worse by 1.000")
    noted = "accuracy of room=77 decides nothing: no test photograph is among them"
    assert noted in doubts(found, chosen)
    strict = settings(against_baseline={"accuracy of room=77": {"better_by": 0}})
    (missing,) = failures(found, strict)
    assert "cannot be compared" in missing


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("acuracy of room=2", "unknown metric 'acuracy'"),
        ("macro_f1 of room=2", "of some photographs the accuracy alone is compared"),
        ("accuracy of room", "expected a metric, or one such as 'accuracy of camera=left'"),
    ],
)
def test_margins_of_what_cannot_be_compared(key: str, error: str) -> None:
    with pytest.raises(SettingsError, match=error):
        settings(against_baseline={key: {"not_worse_by": 0}})


def champion_of(model: Path, folder: Path, problem: str | None = None) -> Path:
    folder.mkdir()
    if problem is None:
        shutil.copytree(model, model_folder(folder))
    write_champion(folder, "version 1", "sha256:1", problem)
    return folder


def run(
    digits_run: Run, champion: Path | None, out: Path, model: Path | None = None, **values: Any
) -> tuple[str, dict[str, Any], str]:
    verdict = evaluate(
        digits_run.examples,
        model or digits_run.model,
        settings(**values),
        champion,
        evaluation=out / "evaluation",
        report=out / "report.html",
    )
    document = json.loads((out / "evaluation" / "verdict.json").read_text())
    return verdict, document, (out / "report.html").read_text()


@pytest.fixture(scope="module")
def better_model(digits_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has seen all digits, those of the test split too."""
    from sklearn.datasets import load_digits

    from components.evaluate.tests.small_artifacts import fitted

    digits = load_digits()
    images = (digits.images * 255 / 16).astype(np.uint8)
    weights, bias = fitted(images, digits.target, strength=10)
    # Its labels are in another order, so that a match by position would be wrong.
    order = list(reversed(range(10)))
    folder = tmp_path_factory.mktemp("better") / "model"
    return write_model(folder, [str(label) for label in order], weights[:, order], bias[order])


def test_a_worse_model_is_not_blessed(digits_run: Run, better_model: Path, tmp_path: Path) -> None:
    champion = champion_of(better_model, tmp_path / "champion")
    verdict, document, report = run(digits_run, champion, tmp_path)
    assert verdict == "not blessed"
    (reason,) = document["reasons"]
    assert "of version 1: worse by" in reason
    overall = document["comparison"]["overall"][0]
    assert overall["challenger"] < overall["champion"]
    assert "Beside the champion, version 1" in report
    assert reason in report.replace("&#39;", "'")
    for found in read_prediction_rows(tmp_path / "evaluation"):
        assert len(found["champion"]["probabilities"]) == 10
        best = int(np.argmax(found["champion"]["probabilities"]))
        assert found["champion"]["predicted_label"] == str(best)


def test_a_better_model_is_blessed(digits_run: Run, better_model: Path, tmp_path: Path) -> None:
    champion = champion_of(digits_run.model, tmp_path / "champion")
    better = {"accuracy": {"better_by": 0}, "log_loss": {"better_by": 0}}
    verdict, document, _ = run(
        digits_run, champion, tmp_path, better_model, against_baseline=better
    )
    assert verdict == "blessed", document["reasons"]


@pytest.mark.parametrize(("margin", "expected"), [("not_worse_by", True), ("better_by", False)])
def test_an_equal_model_is_blessed_as_the_settings_say(
    digits_run: Run, tmp_path: Path, margin: str, expected: bool
) -> None:
    champion = champion_of(digits_run.model, tmp_path / "champion")
    margins = {"accuracy": {margin: 0}}
    verdict, document, _ = run(digits_run, champion, tmp_path, against_baseline=margins)
    assert (verdict == "blessed") is expected
    assert document["comparison"]["overall"][0]["gain"] == 0


def test_the_first_model_has_no_champion(digits_run: Run, tmp_path: Path) -> None:
    (tmp_path / "champion").mkdir()
    write_champion(tmp_path / "champion", None)
    verdict, document, report = run(digits_run, tmp_path / "champion", tmp_path)
    assert verdict == "blessed"
    assert document["comparison"] is None
    assert "Beside the champion" not in report


def test_no_baseline_means_no_comparison(
    digits_run: Run, better_model: Path, tmp_path: Path
) -> None:
    champion = champion_of(better_model, tmp_path / "champion")
    verdict, document, _ = run(digits_run, champion, tmp_path, baseline="none")
    assert (verdict, document["comparison"]) == ("blessed", None)


def test_a_baseline_may_be_any_model(digits_run: Run, better_model: Path, tmp_path: Path) -> None:
    verdict, document, _ = run(digits_run, None, tmp_path, baseline=str(better_model))
    assert verdict == "not blessed"
    assert document["comparison"]["champion"] == str(better_model)
    with pytest.raises(SettingsError, match=r"evaluate\.baseline.*expected serving, none or"):
        run(digits_run, None, tmp_path / "b", baseline=str(tmp_path / "nowhere"))


def with_labels(model: Path, folder: Path, count: int) -> Path:
    weights, bias = np.zeros((64, count), np.float32), np.zeros(count, np.float32)
    return write_model(folder, [str(label) for label in range(count)], weights, bias)


def without_variables(model: Path, folder: Path, _: int) -> Path:
    shutil.copytree(model, folder)
    for file in (folder / "variables").iterdir():
        file.unlink()
    return folder


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (with_labels, "it does not know the label '8' and 1 more"),
        (without_variables, "variables"),
    ],
)
@pytest.mark.parametrize("if_undecided", ["fail", "pass"])
def test_a_champion_that_cannot_be_scored_is_said(
    digits_run: Run,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make: Any,
    problem: str,
    if_undecided: str,
) -> None:
    champion = champion_of(make(digits_run.model, tmp_path / "made", 8), tmp_path / "champion")
    with caplog.at_level(logging.WARNING):
        verdict, document, report = run(digits_run, champion, tmp_path, if_undecided=if_undecided)
    said = document["reasons"] if if_undecided == "fail" else document["doubts"]
    assert verdict == ("not blessed" if if_undecided == "fail" else "blessed")
    (line,) = said
    assert line.startswith("version 1 cannot be scored to compare with: ")
    assert problem in line
    assert "It could not be scored" in report


def test_a_damaged_champion_is_said(digits_run: Run, tmp_path: Path) -> None:
    champion = champion_of(digits_run.model, tmp_path / "champion", "served/1 is damaged")
    verdict, document, _ = run(digits_run, champion, tmp_path)
    assert verdict == "not blessed"
    assert "served/1 is damaged" in document["reasons"][0]
    # What was measured of the new model is there all the same.
    assert (tmp_path / "evaluation" / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"acuracy": {"better_by": 0}}, "did you mean 'accuracy'"),
        ({"accuracy": {}}, "a comparison needs one of"),
        ({"accuracy": {"better_by": -1}}, "greater than or equal to 0"),
        ({"accuracy": {"beter_by": 1}}, "beter_by"),
    ],
)
def test_margins_that_cannot_be_are_refused(given: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        settings(against_baseline=given)


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ({"salt": "a", "split": {"train": 0.8}}, ""),
        ({"salt": "b", "split": {"train": 0.8}}, "another ingest.salt: photographs"),
        ({"salt": "b", "split": {"train": 0.9}}, "another ingest.split, ingest.salt: photographs"),
        (None, ""),
    ],
)
def test_a_champion_of_another_split_may_have_seen_the_photographs(
    theirs: dict[str, Any] | None, expected: str
) -> None:
    ours = {"salt": "a", "split": {"train": 0.8}, "max_rejected": 0.1}
    examples = Examples(Path("examples"), ("a",), {}, {}, False, {"settings": ours})
    ingested = {"kind": "examples", "settings": theirs}
    transformed = {"kind": "transformed_examples", "provenance": {"inputs": {"e": ingested}}}
    inputs = {"transformed_examples": transformed} if theirs is not None else {}
    model = Model(Path("model"), ("a",), None, None, {"provenance": {"inputs": inputs}})
    found = _may_have_seen("version 3", model, examples)
    assert found.startswith("version 3 was trained with") == bool(expected)
    assert expected in found
    comparison = Comparison("version 3", overall=(), doubt=found)
    assert doubts(comparison, EvaluateSettings()) == ([found] if found else [])


def test_both_models_are_asked_about_the_same_positive_label() -> None:
    def model(labels: tuple[str, ...], decision: Decision | None) -> Model:
        return Model(Path("model"), labels, None, decision, {})

    new = model(("a", "b"), Decision("a", 0.25))
    assert _alike(model(("b", "a"), None), new).decision == Decision("a", 0.5)
    assert _alike(model(("a", "b"), Decision("a", 0.75)), new).decision == Decision("a", 0.75)
    turned = _alike(model(("a", "b"), Decision("b", 0.75)), new).decision
    assert turned is not None
    assert turned.positive_label == "a"
    assert 0.25 < turned.threshold < 0.2501
    wider = _alike(model(("a", "b"), Decision("b", 0.75)), model(("a", "b", "c"), None))
    assert (wider.labels, wider.decision) == (("a", "b", "c"), None)
