"""Thresholds decide, and every failing check says why in one line."""

from typing import Any

import pytest

from components.evaluate.settings import EvaluateSettings
from components.evaluate.verdict import judge
from darkroom.settings import validate_settings


def result(count: int, of_slice: dict[str, Any] | None = None, **metrics: Any) -> dict[str, Any]:
    return {"slice": of_slice or {}, "count": count, "metrics": metrics}


def judged(thresholds: dict[str, Any], *results: dict[str, Any], **settings: Any) -> Any:
    values = {"thresholds": thresholds, **settings}
    return judge(results, validate_settings(EvaluateSettings, values))


def test_a_bare_number_is_the_worst_that_still_passes() -> None:
    thresholds = {"accuracy": 0.86, "log_loss": 0.5}
    assert judged(thresholds, result(100, accuracy=0.86, log_loss=0.5)).blessed
    verdict = judged(thresholds, result(100, accuracy=0.41, log_loss=0.501))
    assert not verdict.blessed
    assert verdict.reasons == ("accuracy 0.41 is below 0.86", "log_loss 0.501 is above 0.5")


def test_both_bounds_of_one_metric_are_checked() -> None:
    thresholds = {"accuracy": {"at_least": 0.5, "at_most": 0.99}}
    assert judged(thresholds, result(100, accuracy=0.7)).blessed
    verdict = judged(thresholds, result(100, accuracy=1.0))
    assert verdict.reasons == ("accuracy 1 is above 0.99",)
    assert [check.passed for check in verdict.checks] == [True, False]


def test_a_reason_shows_enough_digits_to_be_true() -> None:
    verdict = judged({"accuracy": 0.86}, result(10_000, accuracy=0.85996))
    assert verdict.reasons == ("accuracy 0.85996 is below 0.86",)


def test_every_slice_is_checked_and_named() -> None:
    thresholds = {"accuracy": {"every_slice_at_least": 0.7}, "log_loss": {"every_slice_at_most": 1}}
    verdict = judged(
        thresholds,
        result(100, accuracy=0.2, log_loss=9.0),
        result(31, {"label": "roses"}, accuracy=0.55, log_loss=0.9),
        result(69, {"label": "tulips"}, accuracy=0.9, log_loss=1.2),
    )
    assert verdict.reasons == (
        "accuracy for label=roses 0.55 is below 0.7 (31 images)",
        "log_loss for label=tulips 1.2 is above 1 (69 images)",
    )


@pytest.mark.parametrize(("minimum", "blessed"), [(9, False), (10, True)])
def test_small_slices_do_not_decide(minimum: int, blessed: bool) -> None:
    thresholds = {"accuracy": {"at_least": 0.5, "every_slice_at_least": 0.5}}
    verdict = judged(
        thresholds,
        result(500, accuracy=0.9),
        result(9, {"site": "attic"}, accuracy=0.1),
        result(90, {"site": "cellar"}, accuracy=0.9),
        minimum_slice_size=minimum,
    )
    assert verdict.blessed is blessed
    assert verdict.checks[1].passed is (None if blessed else False)


def test_all_images_decide_however_few_they_are() -> None:
    verdict = judged({"accuracy": 0.9}, result(3, accuracy=0.3), minimum_slice_size=10)
    assert verdict.reasons == ("accuracy 0.3 is below 0.9",)


@pytest.mark.parametrize("bound", ["at_least", "at_most"])
def test_not_a_number_never_passes(bound: str) -> None:
    verdict = judged({"log_loss": {bound: 0.5}}, result(100, log_loss=None))
    assert verdict.reasons == ("log_loss is not a number",)
    in_slice = judged(
        {"log_loss": {f"every_slice_{bound}": 0.5}},
        result(100, log_loss=0.1),
        result(40, {"label": "roses"}, log_loss=None),
    )
    assert in_slice.reasons == ("log_loss for label=roses is not a number (40 images)",)


def test_a_metric_that_a_slice_cannot_have_is_not_asked_of_it() -> None:
    thresholds = {"auc": {"at_least": 0.8, "every_slice_at_least": 0.8}}
    one_label, both = result(40, {"label": "roses"}), result(40, {"site": "attic"}, auc=0.9)
    assert judged(thresholds, result(100, auc=0.9), one_label, both).blessed
    assert not judged(thresholds, result(100), one_label, both).blessed


@pytest.mark.parametrize(
    ("of_slices", "why"),
    [
        ([result(9, {"site": "attic"}, auc=0.9)], "all have fewer than 10 images"),
        ([result(40, {"label": "roses"})], "none has this metric"),
        ([], "none has this metric"),
    ],
)
def test_a_bound_that_no_slice_decides_is_no_blessing(
    of_slices: list[dict[str, Any]], why: str
) -> None:
    thresholds = {"auc": {"every_slice_at_least": 0.8}}
    verdict = judged(thresholds, result(100, auc=0.9), *of_slices)
    assert verdict.reasons == (
        f"no slice decides auc's every_slice_at_least 0.8: {why} "
        "(to bless all the same: evaluate.if_undecided: pass)",
    )
    assert judged(thresholds, result(100, auc=0.9), *of_slices, if_undecided="pass").blessed


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"accuracy": 96}, "'thresholds.accuracy': at_least 96 decides nothing, .* from 0 to 1"),
        ({"accuracy": {"every_slice_at_least": -1}}, "every_slice_at_least -1 decides nothing"),
        ({"log_loss": -0.5}, "at_most -0.5 decides nothing, since log_loss is from 0 up"),
    ],
)
def test_a_bound_outside_of_the_metric_s_range_is_refused(
    thresholds: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluateSettings.model_validate({"thresholds": thresholds})


def test_without_thresholds_only_numbers_are_asked_for() -> None:
    settings = EvaluateSettings()
    results = [result(100, accuracy=0.0)]
    assert judge(results, settings).blessed
    verdict = judge(results, settings, not_numbers=1)
    assert verdict.reasons == ("the probabilities of 1 image are not numbers",)
    assert not verdict.blessed


@pytest.mark.parametrize(("images", "doubts"), [(5, 1), (28, 1), (29, 0), (500, 0)])
def test_a_test_split_too_small_to_decide_is_named(images: int, doubts: int) -> None:
    """0.9 ** 29 is the first below 0.05."""
    verdict = judged({"accuracy": 0.9}, result(images, accuracy=1.0))
    assert verdict.blessed
    assert len(verdict.doubts) == doubts
    if doubts:
        assert f"it has {images} images; from 29 on" in verdict.doubts[0]
