"""Every finding is made where it should be, and not where it should not."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.settings import ExpectationSettings, IngestSettings, Severities
from components.ingest.validation import Finding, find, jensen_shannon, settle_findings
from darkroom.artifacts.statistics import Statistics
from darkroom.errors import SettingsError, StepError
from darkroom.settings import read_yaml, validate_settings
from darkroom.tests.test_statistics import Facts

SPLITS = ("train", "valid", "test")


def made(counts: dict[str, int], **measured: float) -> Statistics:
    """Statistics of so many photographs a label, spread over splits and, mildly, over bins."""
    statistics = Statistics()
    for label, count in counts.items():
        for number in range(count):
            values = {"height": 600, "width": 800, "brightness": 100, "contrast": 50} | measured
            values = {"sharpness": 900, **values}
            values["brightness"] += number % 5
            facts = Facts(file_format="JPEG", converted=False, **values)  # type: ignore[arg-type]
            statistics.add(facts, SPLITS[number % 3], label)
    return statistics


EVEN = {"rose": 100, "tulip": 100}


def findings(statistics: Statistics, previous: Statistics | None = None, **given: Any):
    settings = ExpectationSettings.model_validate(given)
    return find(statistics, sorted(statistics.label_counts), settings, previous)


def codes(*arguments: Any, **given: Any) -> dict[str, str]:
    return {finding.code: finding.message for finding in findings(*arguments, **given)}


def test_photographs_like_those_before_have_no_findings() -> None:
    assert codes(made(EVEN)) == {}
    assert codes(made(EVEN), made(EVEN)) == {}
    assert codes(made(EVEN), labels=["tulip", "rose"]) == {}
    assert codes(made({"rose": 104, "tulip": 100}), made(EVEN)) == {}


BEYOND: dict[str, tuple[dict[str, int], dict[str, float], dict[str, Any], str]] = {
    "new_label": ({**EVEN, "weed": 20}, {}, {"maximum_share_change": 0.2}, "'weed' (20)"),
    "label_share_moved": (
        {"rose": 150, "tulip": 100},
        {},
        {},
        "'rose' went from 50.0% to 60.0% of the photographs, over 5.0% either way",
    ),
    "brightness_moved": (EVEN, {"brightness": 140}, {}, "the brightness moved by 1.000, over 0.05"),
    "contrast_moved": (EVEN, {"contrast": 90}, {}, "the contrast moved by 1.000"),
    "sharpness_moved": (EVEN, {"sharpness": 20}, {}, "the sharpness moved by 1.000"),
    "aspect_moved": (EVEN, {"width": 600}, {}, "the aspect moved by 1.000"),
    "too_few_photographs": (EVEN, {}, {"minimum_per_label": 101}, "'rose' (100), 'tulip' (100)"),
    "imbalance": (
        {"rose": 105, "tulip": 100},
        {},
        {"maximum_imbalance": 1.04},
        "105 photographs of 'rose', 100 of 'tulip': 1.1 times as many, over 1.04",
    ),
}


@pytest.mark.parametrize("code", BEYOND)
def test_each_finding_alone_and_its_limit(code: str) -> None:
    counts, measured, given, message = BEYOND[code]
    now = made(counts, **measured)
    found = codes(now, made(EVEN), **given)
    assert list(found) == [code]
    assert message in found[code]
    assert codes(now, made(EVEN), **given, severity={code: "off"}) == {}
    for severity in ("warning", "error"):
        (finding,) = findings(now, made(EVEN), **given, severity={code: severity})
        assert finding.severity == severity


def test_limits_are_the_users() -> None:
    lighter = made(EVEN, brightness=110)
    assert 0.05 < jensen_shannon_of(lighter, made(EVEN)) < 0.9
    assert list(codes(lighter, made(EVEN))) == ["brightness_moved"]
    assert codes(lighter, made(EVEN), maximum_divergence={"brightness": 0.9}) == {}
    shifted = made({"rose": 150, "tulip": 100})
    assert codes(shifted, made(EVEN), maximum_share_change=0.11) == {}
    assert codes(made({"rose": 19, "tulip": 20}), minimum_per_label=19) == {}
    assert list(codes(made({"rose": 19, "tulip": 20}))) == ["too_few_photographs"]


def jensen_shannon_of(first: Statistics, second: Statistics) -> float:
    name = "brightness"
    return jensen_shannon(first.overall.histograms[name], second.overall.histograms[name])


def test_a_vanished_label_is_an_error_unless_said_otherwise() -> None:
    now, before = made({"rose": 100, "tulip": 100}), made({**EVEN, "daisy": 5})
    (finding,) = findings(now, before)
    assert finding == Finding("vanished_label", "error", "no photograph of 'daisy'")
    # A stated schema says what is expected, whatever there was before.
    assert codes(now, before, labels=["rose", "tulip"]) == {}
    stated = codes(now, labels=["rose", "iris"])
    assert stated == {"new_label": "'tulip' (100)", "vanished_label": "no photograph of 'iris'"}


def test_a_label_without_photographs_or_split() -> None:
    settings = ExpectationSettings()
    found = find(made(EVEN), ["iris", "rose", "tulip"], settings)
    assert [(f.code, f.message) for f in found] == [
        ("too_few_photographs", "fewer than 20 of 'iris' (0)")
    ]
    statistics = made({**EVEN, "daisy": 2})
    found = find(statistics, ["daisy", "rose", "tulip"], ExpectationSettings(minimum_per_label=0))
    assert [f.message for f in found if f.code == "missing_from_split"] == ["no 'daisy' in test"]


def test_a_label_of_few_test_photographs_is_named() -> None:
    """Two roses in test judge nothing, however many there are in train."""
    statistics = made(EVEN)
    statistics.counts["test"]["rose"] = 2
    (finding,) = find(statistics, ["rose", "tulip"], ExpectationSettings())
    assert (finding.code, finding.severity) == ("too_few_in_test", "warning")
    assert finding.message.startswith("fewer than 5 of 'rose' (2)")


def test_many_labels_make_one_short_line() -> None:
    now = made({f"label\n{number:03}": 20 for number in range(300)})
    message = codes(now, labels=["a"])["new_label"]
    assert message.startswith("'label 000' (20), ")
    assert message.endswith("295 more")
    assert "\n" not in message


histograms = st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(any)


@given(histograms, histograms)
def test_the_divergence_is_symmetric_and_within_0_and_1(
    first: list[int], second: list[int]
) -> None:
    divergence = jensen_shannon(first, second)
    assert 0 <= divergence <= 1
    assert divergence == pytest.approx(jensen_shannon(second, first), abs=1e-12)
    assert jensen_shannon(first, [3 * count for count in first]) == pytest.approx(0, abs=1e-12)


def test_the_divergence_of_known_distributions() -> None:
    assert jensen_shannon([1, 0], [0, 5]) == 1
    # (1/2, 1/2) and (1, 0): the entropy of (3/4, 1/4) less half a bit.
    assert jensen_shannon([1, 1], [4, 0]) == pytest.approx(0.311278, abs=1e-6)


def test_errors_are_one_line_with_a_way_out(caplog: pytest.LogCaptureFixture) -> None:
    found = [
        Finding("vanished_label", "error", "no photograph of 'daisy'"),
        Finding("imbalance", "error", "too much"),
        Finding("new_label", "warning", "'weed' (3)"),
    ]
    logging.getLogger("darkroom").propagate = True
    with caplog.at_level(logging.WARNING, "darkroom.ingest"):
        with pytest.raises(StepError) as raised:
            settle_findings(found, Path("out/card.html"))
        settle_findings(found[2:], Path("out/card.html"))
    message = str(raised.value)
    assert "\n" not in message
    assert "vanished_label: no photograph of 'daisy'; imbalance: too much. See out" in message
    assert "ingest.expectations.severity.vanished_label, ingest.expectations.severity" in message
    assert "weed" not in message
    assert [record.getMessage() for record in caplog.records] == ["new_label: 'weed' (3)"] * 2


def test_off_may_be_written_as_yaml_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("expectations:\n  severity: {imbalance: off, new_label: error}\n")
    severity = validate_settings(IngestSettings, read_yaml(str(path))).expectations.severity
    assert severity == Severities(imbalance="off", new_label="error")
    given = {"expectations": {"severity": {"imbalance": "on"}}}
    with pytest.raises(SettingsError, match=r"'ingest.expectations.severity.imbalance'"):
        validate_settings(IngestSettings, given, "ingest")


def test_the_step_compares_with_a_previous_run(
    tmp_path: Path, photographs: Callable[[int], Path], run_ingest: Callable[..., Any]
) -> None:
    folder = photographs(40)
    first = run_ingest(folder, "first")
    expectations: dict[str, Any] = {"previous": str(tmp_path / "first" / "statistics")}
    expectations["minimum_per_label_in_test"] = 1
    run_ingest(folder, "same", expectations=expectations)
    manifest = json.loads((tmp_path / "same" / "statistics" / "manifest.json").read_text())
    assert manifest["findings"] == []
    assert first.examples.counts == manifest["photographs"]

    (folder / "daisy").rename(folder / "tulip")
    with pytest.raises(StepError, match="vanished_label: no photograph of 'daisy'"):
        run_ingest(folder, "second", expectations=expectations)
    assert not (tmp_path / "second" / "examples").exists()
    # The card is there to show a person why.
    assert "vanished_label" in (tmp_path / "second" / "statistics" / "card.html").read_text()

    run_ingest(
        folder, "third", expectations=expectations | {"severity": {"vanished_label": "warning"}}
    )
    manifest = json.loads((tmp_path / "third" / "statistics" / "manifest.json").read_text())
    found = {finding["code"]: finding["severity"] for finding in manifest["findings"]}
    expected = ("new_label", "vanished_label", "label_share_moved")
    assert found == dict.fromkeys(expected, "warning")


def test_a_previous_run_that_is_not_there_stops_before_any_work(
    tmp_path: Path, run_ingest: Callable[..., Any]
) -> None:
    with pytest.raises(SettingsError, match=r"ingest.expectations.previous: the statistics arti"):
        run_ingest("no data", expectations={"previous": str(tmp_path / "nowhere")})
