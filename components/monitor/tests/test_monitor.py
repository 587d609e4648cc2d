"""A model that is watched: what is read, what is counted, and that nothing counts twice."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk

from components.monitor import monitor
from components.monitor.drift.answers import confidences
from components.monitor.monitor import watch
from components.monitor.tests.small_world import (
    DAY,
    LABELS,
    START,
    content,
    days,
    drawn,
    figures,
    image_id,
    reference,
    sample,
    settings,
    write_labels,
    write_samples,
)
from components.monitor.windows.reference import slice_name
from darkroom.errors import SettingsError
from darkroom.intervals import wilson

NOW = START + 30 * DAY
OF_1 = {"1": reference()}


def test_a_window_has_evaluates_metrics_of_all_and_of_slices(tmp_path: Path) -> None:
    truth, probabilities = drawn(300)
    samples, labels = days([(truth, probabilities)])
    write_samples(tmp_path, samples)
    labelled = dict(list(enumerate(labels))[:240])
    write_labels(tmp_path / "labels.csv", labelled)
    report = watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, NOW)
    assert (report.new, report.relabelled, report.windows) == (300, 240, [("1", START)])
    assert not report.problems
    (found,) = figures(tmp_path / "monitor.db")
    assert (found["answers"], found["photographs"], found["labelled"]) == (300, 300, 240)
    assert found["unlabelled_share"] == pytest.approx(0.2)
    given = np.array(LABELS)[probabilities.argmax(axis=1)]
    assert found["labels"] == {name: int((given == name).sum()) for name in LABELS}
    known, guessed, scores = np.array(labels)[:240], given[:240], probabilities[:240]
    metrics = metrics_of(tmp_path / "monitor.db")
    overall = {name: value for (of, name), (value, *_) in metrics.items() if of == "{}"}
    assert overall["accuracy"] == pytest.approx(sk.accuracy_score(known, guessed))
    assert overall["macro_f1"] == pytest.approx(sk.f1_score(known, guessed, average="macro"))
    assert overall["kappa"] == pytest.approx(sk.cohen_kappa_score(known, guessed))
    exact = scores.astype(float) / scores.sum(axis=1, keepdims=True, dtype=float)
    area = sk.roc_auc_score(known, scores, multi_class="ovr", labels=list(LABELS))
    assert overall["auc"] == pytest.approx(area)
    assert overall["log_loss"] == pytest.approx(sk.log_loss(known, exact))
    roses = known == "roses"
    right = int((guessed[roses] == "roses").sum())
    of_roses = metrics[slice_name({"label": "roses"}), "accuracy"]
    count = int(roses.sum())
    assert of_roses == pytest.approx((right / count, *wilson(right, count), count))


def metrics_of(database: Path) -> dict[tuple[str, str], tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    rows = connection.execute("SELECT slice, metric, value, low, high, count FROM metrics")
    found = {(row[0], row[1]): row[2:] for row in rows}
    connection.close()
    return found


def test_what_is_read_again_changes_nothing_and_in_parts_comes_to_the_same(tmp_path: Path) -> None:
    samples, labels = days([drawn(60, seed) for seed in range(3)])
    at_once, in_parts = tmp_path / "at once.db", tmp_path / "in parts.db"
    for count in (20, 75, 180):
        write_samples(tmp_path, samples[:count])
        write_labels(tmp_path / "labels.csv", dict(enumerate(labels[: count // 2])))
        watch(settings(tmp_path), in_parts, OF_1, NOW)
    watch(settings(tmp_path), at_once, OF_1, NOW)
    before = content(at_once)
    assert content(in_parts) == before
    report = watch(settings(tmp_path), at_once, OF_1, NOW + DAY)
    assert (report.new, report.known, report.relabelled, report.windows) == (0, 180, 0, [])
    assert content(at_once) == before


def test_lines_that_are_cut_clocks_that_go_back_and_files_that_rotate(tmp_path: Path) -> None:
    samples, _ = days([drawn(60)])
    write_samples(tmp_path, samples[:30], "samples.jsonl.10")
    write_samples(tmp_path, [*samples[40:50], *samples[30:40]], "samples.jsonl.2")
    # As after a rotation while they were read: the last lines are in two files.
    write_samples(tmp_path, samples[45:60])
    with (tmp_path / "flowers" / "samples.jsonl").open("a") as file:
        file.write('[]\n{"model": "flowers"}\n')
        file.write(json.dumps(samples[0] | {"probabilities": [0.5, "x", 0.1]}) + "\n")
        file.write(json.dumps(samples[0] | {"time": None}) + "\n")
        file.write(json.dumps(samples[0] | {"time": 0}) + "\n")
        file.write(json.dumps(samples[0] | {"version": ""}) + "\n")
        file.write(json.dumps(samples[0])[:80])
    report = watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, NOW)
    assert (report.new, report.known) == (60, 5)
    missing = report.problems.pop(f"cannot read {tmp_path}/labels.csv: No such file or directory")
    assert missing == 1
    assert report.problems == {
        "a clock that went back (counted all the same)": 1,
        "a line that was cut": 2,
        "a number or time that is none": 1,
        "a time before 2000, of a clock that was never set": 1,
        "no time": 1,
        "no version, or another model": 2,
    }


def test_files_that_stay_as_they_are_are_read_once(tmp_path: Path) -> None:
    samples, labels = days([drawn(60)])
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    write_samples(tmp_path, samples[:20], "samples.jsonl.1")
    write_samples(tmp_path, samples[20:30])
    database = tmp_path / "monitor.db"
    assert watch(settings(tmp_path), database, OF_1, NOW).new == 30
    folder = tmp_path / "flowers"
    (folder / "samples.jsonl.1").rename(folder / "samples.jsonl.2")
    write_samples(tmp_path, samples[20:50], "samples.jsonl.1")
    write_samples(tmp_path, samples[50:])
    report = watch(settings(tmp_path), database, OF_1, NOW)
    assert (report.new, report.known) == (30, 10)
    report = watch(settings(tmp_path), database, OF_1, NOW)
    assert (report.new, report.known) == (0, 10)
    (found,) = figures(database)
    assert (found["answers"], found["labelled"]) == (60, 60)


def test_a_photograph_counts_once_in_a_window_and_its_burst_too(tmp_path: Path) -> None:
    _, probabilities = drawn(3)
    burst = [
        sample(0, START + second, probabilities[0], key=f"second {second}") for second in range(50)
    ]
    next_day = [sample(0, START + DAY, probabilities[0]), sample(1, START + DAY, probabilities[1])]
    write_samples(tmp_path, [*burst, *next_day])
    watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, NOW)
    counted = [(each["answers"], each["photographs"]) for each in figures(tmp_path / "monitor.db")]
    assert counted == [(50, 1), (2, 2)]
    # Whichever of the requests a label is for, it is the photograph's.
    (tmp_path / "labels.csv").write_text("key,label\nsecond 30,roses\nsecond 31,roses\n")
    watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, NOW)
    assert [each["labelled"] for each in figures(tmp_path / "monitor.db")] == [1, 0]


def test_labels_twice_in_conflict_withdrawn_unknown_and_of_nothing(tmp_path: Path) -> None:
    samples, labels = days([drawn(6)])
    write_samples(tmp_path, samples)
    other = "roses" if labels[1] != "roses" else "tulips"
    rows = [
        ("image_id,key,label,labelled_at",),
        (image_id(0), "", labels[0], ""),
        (image_id(0), "", labels[0], ""),  # twice
        (image_id(1), "", labels[1], ""),
        (image_id(1), "", other, ""),  # a conflict that nothing decides
        (image_id(2), "", other, "2023-12-01"),
        (image_id(2), "", labels[2], "2023-12-02"),  # the newest counts
        (image_id(3), "", "oak", ""),  # the model does not know it
        ("", "k4", labels[4], ""),
        (image_id(77), "", "roses", ""),  # nobody asked
        ("", "", "roses", ""),
    ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(",".join(row) for row in rows))
    report = watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, NOW)
    differ = 1 + (other != labels[2])
    assert report.problems == {
        "a label's row: it has a label, and neither image_id nor key": 1,
        "labels of photographs that were not answered": 1,
        "labels that came twice": 1,
        "photographs whose labels differ": differ,
        "photographs whose labels differ, and none is the newest": 1,
    }
    (found,) = figures(tmp_path / "monitor.db")
    assert (found["labelled"], found["conflicting"]) == (4, differ)
    # The oak is answered wrongly.
    accuracy = metrics_of(tmp_path / "monitor.db")["{}", "accuracy"]
    given = [each["label"] for each in samples]
    right = sum(given[place] == labels[place] for place in (0, 2, 4))
    assert (accuracy[0], accuracy[3]) == (right / 4, 4)
    # A table that is mended is taken over, and what it withdraws goes.
    write_labels(table, {1: labels[1]})
    report = watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, NOW)
    assert not report.problems
    assert figures(tmp_path / "monitor.db")[0]["labelled"] == 1


def test_how_late_labels_are(tmp_path: Path) -> None:
    _, probabilities = drawn(2)
    write_samples(tmp_path, [sample(number, START, probabilities[number]) for number in (0, 1)])
    table = tmp_path / "labels.csv"
    table.write_text(f"image_id,label,labelled_at\n{image_id(0)},roses,{START + 7200}\n")
    watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, START + DAY)
    (found,) = figures(tmp_path / "monitor.db")
    assert found["label_delay"]["median"] == pytest.approx(2.0)
    table.write_text(f"image_id,label\n{image_id(0)},roses\n{image_id(1)},roses\n")
    watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, START + 2 * DAY)
    (found,) = figures(tmp_path / "monitor.db")
    # Where nobody says when, it is when the label was first read.
    assert found["label_delay"]["longest"] == pytest.approx(48.0)


def test_windows_of_photographs_weeks_and_another_size_later(tmp_path: Path) -> None:
    samples, labels = days([drawn(20, seed) for seed in range(6)])
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    database = tmp_path / "monitor.db"
    watch(settings(tmp_path, window="week"), database, OF_1, NOW)
    # From Wednesday to Sunday, and a Monday.
    assert [each["photographs"] for each in figures(database)] == [100, 20]
    report = watch(settings(tmp_path, window=50), database, OF_1, NOW)
    assert report.windows == [("1", 0), ("1", 1), ("1", 2)]
    assert [each["photographs"] for each in figures(database)] == [50, 50, 20]
    report = watch(settings(tmp_path, window=50), database, OF_1, NOW)
    assert report.windows == []


def test_another_reference_or_rate_costs_no_more_than_it_must(tmp_path: Path) -> None:
    samples, labels = days([drawn(30, seed) for seed in range(2)])
    write_samples(tmp_path, [*samples, *(each | {"version": 2} for each in samples)])
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    database = tmp_path / "monitor.db"
    first = watch(settings(tmp_path), database, OF_1, NOW)
    assert len(first.windows) == 4
    both = OF_1 | {"2": reference(500)}
    assert watch(settings(tmp_path), database, both, NOW).windows == [
        ("2", START),
        ("2", START + DAY),
    ]
    tests = content(database)["tests"]
    assert watch(settings(tmp_path, rate=0.2), database, both, NOW).windows == []
    assert content(database)["tests"] == tests  # counted again, and nothing has changed
    assert len(watch(settings(tmp_path, slices=()), database, both, NOW).windows) == 4


def test_accuracy_is_estimated_before_labels_come(tmp_path: Path) -> None:
    truth, probabilities = drawn(1000, seed=5)
    pairs = zip(confidences(probabilities), probabilities.argmax(axis=1) == truth, strict=True)
    known = OF_1["1"]._replace(valid=[(float(sure), bool(right)) for sure, right in pairs])
    windows = [drawn(500, seed=6), drawn(500, seed=7, skill=0.8)]
    samples, _ = days(windows)
    write_samples(tmp_path, samples)
    (tmp_path / "labels.csv").write_text("image_id,label\n")
    watch(settings(tmp_path), tmp_path / "monitor.db", {"1": known}, NOW)
    first, second = (each["estimated"] for each in figures(tmp_path / "monitor.db"))
    assert first["low"] < accuracy_of(windows[0]) < first["high"]
    # A model that has become worse is less sure, too.
    assert second["accuracy"] < first["accuracy"] - 0.1


def accuracy_of(window: tuple[Any, Any]) -> float:
    truth, probabilities = window
    return float((probabilities.argmax(axis=1) == truth).mean())


def test_a_change_alarms_and_says_since_when(tmp_path: Path) -> None:
    changed = [drawn(300, seed, shares=(0.1, 0.1, 0.8)) for seed in (8, 9)]
    samples, labels = days([*(drawn(300, seed) for seed in range(4)), *changed])
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    watch(settings(tmp_path), tmp_path / "monitor.db", OF_1, NOW)
    connection = sqlite3.connect(tmp_path / "monitor.db")
    alarms = connection.execute(
        "SELECT window, since, before, after FROM tests WHERE test = 'label=tulips' AND alarm"
    ).fetchall()
    connection.close()
    assert [(window, since) for window, since, *_ in alarms] == [
        (START + 4 * DAY, START + 4 * DAY),
        (START + 5 * DAY, START + 4 * DAY),
    ]
    assert alarms[0][2:] == pytest.approx((0.3, 0.8), abs=0.06)


def test_an_evaluation_of_another_model_is_not_used(tmp_path: Path) -> None:
    samples, _ = days([drawn(20)])
    write_samples(tmp_path, samples)
    (tmp_path / "labels.csv").write_text("image_id,label\n")
    other = OF_1["1"]._replace(labels=("daisy", "roses"))
    report = watch(settings(tmp_path), tmp_path / "monitor.db", {"1": other, "2": other}, NOW)
    assert report.problems == {"version 1: its evaluation is of another model, and is not used": 1}
    assert content(tmp_path / "monitor.db")["tests"] == []


@pytest.mark.parametrize("place", ["window_metrics", "look", "update_labels", "window_shares"])
def test_a_run_that_breaks_off_is_ended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    samples, labels = days([drawn(30, seed) for seed in range(3)])
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    watch(settings(tmp_path), whole, OF_1, NOW)
    real, calls = getattr(monitor, place), []

    def breaks(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2 or place in ("look", "update_labels"):
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(monitor, place, breaks)
        with pytest.raises(KeyboardInterrupt):
            watch(settings(tmp_path), broken, OF_1, NOW)
    watch(settings(tmp_path), broken, OF_1, NOW)
    assert content(broken) == content(whole)


def test_a_folder_without_samples_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no .*/flowers/samples\.jsonl: is it the server's"):
        watch(settings(tmp_path), tmp_path / "monitor.db", {}, NOW)
