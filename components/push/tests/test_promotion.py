"""What decides on a canary: figures that are valid at every look, held to limits."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from components.push.promotion.check import CanaryLimits, Finding
from components.push.promotion.promote import promote_if_better
from components.push.promotion.quality import (
    Labels,
    answers_to_labelled,
    check_quality,
    labels_by_photograph,
)
from components.push.promotion.server_metrics import (
    Counts,
    check_errors,
    check_latency,
    parsed_server,
)
from components.push.targets import target_for
from components.push.tests.test_targets import make_model
from darkroom.errors import SettingsError, StepError

LIMITS = CanaryLimits()
SERVER = "http://127.0.0.1:9/v1/models/flowers"


def timed(fast: int, slow: int) -> Counts:
    """Answers within 20 ms, and others within half a second."""
    bounds = {0.01: 0, 0.02: fast, 0.05: fast, 0.5: fast + slow, math.inf: fast + slow}
    return Counts(fast + slow, 0, bounds)


@pytest.mark.parametrize(
    ("canary", "stable", "finding"),
    [
        ((1, 3), (0, 5000), Finding.UNDECIDED),  # one of three is no evidence
        ((0, 100), (0, 5000), Finding.UNDECIDED),
        ((0, 1200), (2, 5000), Finding.PASSES),
        ((60, 1000), (3, 5000), Finding.FAILS),
        ((60, 1000), (300, 5000), Finding.UNDECIDED),  # both are bad
        ((0, 0), (0, 0), Finding.UNDECIDED),
    ],
)
def test_errors_decide_once_there_is_evidence(
    canary: tuple[int, int], stable: tuple[int, int], finding: Finding
) -> None:
    new, old = (Counts(requests, errors) for errors, requests in (canary, stable))
    check = check_errors(new, old, LIMITS)
    assert check.finding is finding
    assert f"{canary[0]} of {canary[1]} requests" in check.in_words()


@pytest.mark.parametrize(
    ("canary", "stable", "finding"),
    [
        (timed(1000, 2), timed(5000, 20), Finding.PASSES),
        (timed(700, 300), timed(5000, 20), Finding.FAILS),
        (timed(20, 1), timed(5000, 20), Finding.UNDECIDED),
        (timed(1000, 2), timed(50, 0), Finding.UNDECIDED),
        (Counts(), timed(5000, 20), Finding.UNDECIDED),
    ],
)
def test_latency_is_held_to_the_percentile_of_what_serves(
    canary: Counts, stable: Counts, finding: Finding
) -> None:
    assert check_latency(canary, stable, LIMITS).finding is finding


def test_a_percentile_beyond_the_histogram_decides_nothing() -> None:
    stable = Counts(1000, 0, {1.0: 10, math.inf: 1000})
    assert "beyond the server's histogram" in check_latency(stable, stable, LIMITS).figures


def answers(right: int, wrong: int, first: int = 0) -> dict[str, str]:
    given = ["rose"] * right + ["tulip"] * wrong
    return {f"photograph {number}": label for number, label in enumerate(given, first)}


def truth(*given: Mapping[str, str]) -> dict[str, str]:
    return {name: "rose" for answered in given for name in answered}


def test_quality_of_other_photographs_and_of_the_same() -> None:
    stable = answers(1800, 200)
    for right, wrong, finding in (
        (3600, 400, Finding.UNDECIDED),
        (1200, 800, Finding.FAILS),
        (8, 2, Finding.UNDECIDED),
        (2000, 0, Finding.PASSES),
    ):
        canary = answers(right, wrong, first=10_000)
        assert check_quality(canary, stable, truth(canary, stable), LIMITS).finding is finding
    # The same photographs say it with far fewer of them.
    canary = dict(stable) | answers(5, 0, first=1795)
    check = check_quality(canary, stable, truth(canary), LIMITS)
    assert (check.finding, "of the same" in check.figures) == (Finding.PASSES, True)
    nothing = check_quality({}, stable, truth(stable), LIMITS)
    assert "labels of both are needed" in nothing.in_words()


def test_a_canary_that_is_as_good_is_seldom_taken_back_however_often_one_looks() -> None:
    generator = np.random.default_rng(0)
    taken_back = 0
    for _ in range(100):
        draws = generator.random((2, 2000)) < 0.05
        errors = np.cumsum(draws, axis=1)
        for count in range(20, 2001, 90):
            canary, stable = (Counts(count, int(each[count - 1])) for each in errors)
            if check_errors(canary, stable, LIMITS).finding is Finding.FAILS:
                taken_back += 1
                break
    assert taken_back <= 5


def test_samples_are_joined_with_labels(tmp_path: Path) -> None:
    lines = [
        {"model": "flowers", "version": 2, "image_id": "a", "key": "k1", "label": "rose"},
        {"model": "flowers", "version": 2, "image_id": "a", "key": "k1", "label": "rose"},
        {"model": "flowers", "version": 1, "image_id": "b", "key": "k2", "label": "tulip"},
        {"model": "digits", "version": 1, "image_id": "b", "key": "k2", "label": "7"},
        {"model": "flowers", "version": 1, "image_id": "c", "key": "k3", "label": "tulip"},
    ]
    texts = [json.dumps(line) + "\n" for line in lines]
    kept = tmp_path / "flowers"  # the server has a folder a model
    kept.mkdir()
    (kept / "samples.jsonl.1").write_text("".join(texts[:2]) + '{"model": "flow')
    (kept / "samples.jsonl").write_text("".join(texts[2:]))
    (tmp_path / "labels.csv").write_text("image_id,label\na,rose\nb,rose\nc,\n")
    (tmp_path / "labels.jsonl").write_text('{"key": "k1", "label": "rose"}\n\n')
    by_id, by_key = (
        labels_by_photograph(str(tmp_path / f"labels.{form}")) for form in ("csv", "jsonl")
    )
    assert by_id == Labels("image_id", {"a": "rose", "b": "rose"})
    found = answers_to_labelled(str(tmp_path), "flowers", by_id, (2, 1))
    assert found == ({"a": "rose"}, {"b": "tulip"})
    assert answers_to_labelled(str(tmp_path), "flowers", by_key, (2, 1)) == ({"k1": "rose"}, {})
    with pytest.raises(SettingsError, match=r"no .*/digits/samples\.jsonl"):
        answers_to_labelled(str(tmp_path), "digits", by_id, (2, 1))


def test_a_name_is_that_of_the_metrics_and_not_of_the_address() -> None:
    assert parsed_server("http://here:1/v1/models/my%20roses/") == ("http://here:1", "my roses")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"server": "grpc://127.0.0.1:9/flowers"}, "is no model's address"),
        ({"samples": "samples"}, "--samples and --labels go together"),
        ({"samples": ".", "labels": "names.csv"}, "needs the columns label, and image_id or key"),
        ({"samples": ".", "labels": "none.csv"}, r"cannot read none\.csv: No such file"),
    ],
)
def test_what_cannot_be_used_is_said_first(
    arguments: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.csv").write_text("name,flower\na,rose\n")
    with pytest.raises(SettingsError, match=message):
        promote_if_better("served", **{"server": SERVER, **arguments})  # type: ignore[arg-type]


def test_a_server_that_does_not_answer_decides_nothing(tmp_path: Path) -> None:
    target = target_for(str(tmp_path / "served"))
    target.publish(make_model(tmp_path / "a", "a"))
    assert promote_if_better(str(tmp_path / "served"), SERVER).outcome == "there is no canary"
    target.publish(make_model(tmp_path / "b", "b"), 10)
    with pytest.raises(StepError, match=r"http://127\.0\.0\.1:9/metrics gives no metrics"):
        promote_if_better(str(tmp_path / "served"), SERVER)
    assert target.traffic() == {1: 90, 2: 10}
