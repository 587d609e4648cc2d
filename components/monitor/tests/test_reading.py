"""What is read of batch predictions and of photographs that a server kept."""

import base64
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.monitor.drift.shares import histogram
from components.monitor.monitor import watch
from components.monitor.reading.batch import predicted_answers
from components.monitor.reading.samples import sampled_answers
from components.monitor.settings import MonitorSettings
from components.monitor.state.database import opened
from components.monitor.tests.batches import write_batch
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
from components.monitor.windows.history import series, versions, windows
from components.monitor.windows.reference import slice_name
from darkroom.artifacts import batch_predictions
from darkroom.artifacts.manifest import PROVENANCE
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings


def predicted(count: int) -> list[dict[str, Any]]:
    _, probabilities = drawn(count)
    return [
        {
            "image": f"{number}.jpg",
            "image_id": image_id(number),
            "label": LABELS[int(row.argmax())],
            "label_index": int(row.argmax()),
            "probabilities": [float(value) for value in row],
            "camera": "left" if number % 2 else "right",
            "lens": 50,
        }
        for number, row in enumerate(probabilities)
    ]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "tfrecord"])
def test_batch_predictions_of_every_format_are_the_same(tmp_path: Path, form: str) -> None:
    rows, problems = predicted(5), Counter[str]()
    folder = write_batch(tmp_path / form, form, rows)
    answers = list(predicted_answers(folder, ("camera",), problems))
    assert not problems
    assert [answer.image_id for answer in answers] == [row["image_id"] for row in rows]
    assert [answer.label for answer in answers] == [row["label"] for row in rows]
    assert answers[0].columns == {"camera": "right"}
    assert {answer.time for answer in answers} == {START + 6 * 3600}
    assert {answer.version for answer in answers} == {"d" * 12}
    for answer, row in zip(answers, rows, strict=True):
        values = np.frombuffer(answer.probabilities, np.float32)
        assert values == pytest.approx(np.float32(row["probabilities"]))
    assert list(batch_predictions.read_batch_predictions(folder).images()) == [
        row["image"] for row in rows
    ]


def test_batch_predictions_are_watched_and_sliced_by_their_columns(tmp_path: Path) -> None:
    rows = predicted(60)
    folder = write_batch(tmp_path / "predicted", "parquet", rows)
    write_labels(tmp_path / "labels.csv", dict.fromkeys(range(60), "roses"))
    watched = MonitorSettings(
        state=str(tmp_path / "state"),
        predictions=(str(folder), str(folder)),
        labels=(str(tmp_path / "labels.csv"),),
        slices=("camera", ("camera", "label")),
    )
    report = watch(watched, tmp_path / "monitor.db", {}, START + DAY)
    assert (report.new, report.known) == (60, 60)
    with opened(tmp_path / "monitor.db") as connection:
        (version,) = versions(connection)
        left = [row["label"] == "roses" for row in rows if row["camera"] == "left"]
        (point,) = series(connection, version, "accuracy", slice_name({"camera": "left"}))
        assert point.value == pytest.approx(np.mean(left))
        assert point.photographs == 30
        cross = slice_name({"camera": "left", "label": "roses"})
        assert series(connection, version, "accuracy", cross) == [point]
    other = watched.model_copy(update={"slices": ("lens",)})
    report = watch(other, tmp_path / "monitor.db", {}, START + DAY)
    assert (report.new, len(report.windows)) == (0, 1)
    with opened(tmp_path / "monitor.db") as connection:
        (point,) = series(connection, version, "accuracy", slice_name({"lens": "50"}))
        assert point.photographs == 60


def test_a_batch_that_does_not_say_when_it_was_made(tmp_path: Path) -> None:
    folder = write_batch(tmp_path / "p", "jsonl", predicted(1), **{PROVENANCE: {}})
    with pytest.raises(StepError, match="does not say when it was made"):
        list(predicted_answers(folder, (), Counter()))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"probabilities": [[0.5, 0.5], [0.5, 0.5]]}, "probabilities that are not from 0 to 1"),
        ({"probabilities": [0.5, float("nan"), 0.5]}, "probabilities that are not from 0 to 1"),
        ({"probabilities": [1.0]}, "no probabilities"),
        ({"label_index": 3}, "a label_index that is none"),
        ({"label_index": float("inf")}, "a number or time that is none"),
        ({"time": "yesterday"}, "a number or time that is none"),
        ({"time": -5}, "a number or time that is none"),
        ({"time": 10**400}, "a number or time that is none"),
        ({"version": "half \ud83d"}, "a text that is no Unicode"),
        ({"brightness": 10**400}, ""),
        ({"image": "\xe9"}, "a photograph that cannot be read (its answer counts)"),
        ({"image_id": ""}, "no image_id or label"),
        ({"key": "half \ud83d"}, "a text that is no Unicode"),
        ({"labels": "roses tulips"}, "several labels to a photograph"),
        ({"camera": float("nan")}, ""),  # a column without a value
        ({"camera": {"side": ["left"]}}, ""),
    ],
)
def test_a_sample_that_is_wrong_costs_itself_alone(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    _, probabilities = drawn(2)
    bad = sample(0, START, probabilities[0]) | change
    write_samples(tmp_path, [bad, sample(1, START, probabilities[1])])
    write_labels(tmp_path / "labels.csv", {0: "roses", 1: "roses"})
    watched = settings(tmp_path, slices=("camera",))
    report = watch(watched, tmp_path / "monitor.db", {}, START)
    report.problems.pop("labels of photographs that were not answered", None)
    report.problems.pop("no answer and no label has the column 'camera' of 'monitor.slices'", None)
    report.problems.pop("version 1 is gone, or an older release pushed it: not tested")
    assert report.problems == ({problem: 1} if problem else {})
    assert report.new == (1 if problem and "counts" not in problem else 2)


def test_lines_of_brackets_and_answers_of_the_future(tmp_path: Path) -> None:
    _, probabilities = drawn(2)
    write_samples(tmp_path, [sample(0, START, probabilities[0])])
    with (tmp_path / "flowers" / "samples.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n")
        file.write(json.dumps(sample(1, START + DAY, probabilities[1])) + "\n")
    watched = settings(tmp_path, labels=())
    report = watch(watched, tmp_path / "monitor.db", {}, START)
    assert report.new == 2
    assert report.problems["a line that was cut"] == 1
    assert report.problems["answers of a time that has not come yet (counted all the same)"] == 1


def test_a_column_to_slice_by_that_nothing_has_is_told(tmp_path: Path) -> None:
    _, probabilities = drawn(1)
    write_samples(tmp_path, [sample(0, START, probabilities[0])])
    (tmp_path / "labels.csv").write_text(f"image_id,label,camera\n{image_id(0)},roses,left\n")
    watched = settings(tmp_path, slices=("label", "camera", "cmaera", ("label", "brightness")))
    report = watch(watched, tmp_path / "monitor.db", {}, START)
    assert [reason for reason in report.problems if "monitor.slices" in reason] == [
        "no answer and no label has the column 'cmaera' of 'monitor.slices'",
        "no answer and no label has the column 'brightness' of 'monitor.slices'",
    ]


def test_labels_whose_store_is_away_keep_nobody_from_looking(tmp_path: Path) -> None:
    samples, labels = days([drawn(60)])
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    away = "memory://away/labels.csv"
    watched = settings(tmp_path, labels=(away, str(tmp_path / "labels.csv")))
    report = watch(watched, tmp_path / "monitor.db", {}, START)
    assert (report.new, report.relabelled) == (60, 60)
    (problem,) = (problem for problem in report.problems if away in problem)
    assert problem.startswith(f"cannot read {away}: ")


def test_labels_of_a_table_that_is_not_named_any_more_count_and_are_told(tmp_path: Path) -> None:
    _, probabilities = drawn(1)
    write_samples(tmp_path, [sample(0, START, probabilities[0])])
    write_labels(tmp_path / "old.csv", {0: "roses"})
    database = tmp_path / "monitor.db"
    watch(settings(tmp_path, labels=(str(tmp_path / "old.csv"),)), database, {}, START)
    report = watch(settings(tmp_path, labels=()), database, {}, START)
    told = f"labels of {tmp_path}/old.csv, which 'monitor.labels' no longer names, still count"
    assert report.problems[told] == 1
    assert figures(database)[0]["labelled"] == 1


def test_files_that_rotate_while_they_are_read(tmp_path: Path) -> None:
    samples, _ = days([drawn(30)])
    write_samples(tmp_path, samples[10:20])
    write_samples(tmp_path, samples[:10], "samples.jsonl.1")
    reading = sampled_answers(str(tmp_path), "flowers", (), Counter())
    found = {next(reading).image_id}
    folder = tmp_path / "flowers"
    (folder / "samples.jsonl.1").rename(folder / "samples.jsonl.2")
    (folder / "samples.jsonl").rename(folder / "samples.jsonl.1")
    write_samples(tmp_path, samples[20:])
    found |= {answer.image_id for answer in reading}
    assert found == {each["image_id"] for each in samples[:20]}


def test_photographs_that_the_server_kept_are_measured(tmp_path: Path) -> None:
    grey = io.BytesIO()
    Image.new("RGB", (40, 30), (100, 100, 100)).save(grey, "PNG")
    _, probabilities = drawn(2)
    whole = base64.b64encode(grey.getvalue()).decode()
    write_samples(
        tmp_path,
        [
            sample(0, START, probabilities[0], image=whole),
            sample(1, START, probabilities[1], image=whole[:40]),
        ],
    )
    problems = Counter[str]()
    first, second = sampled_answers(str(tmp_path), "flowers", (), problems)
    assert (first.file_format, first.measures) == ("PNG", (30.0, 40.0, 100.0, 0.0, 0.0))
    assert second.measures == (None,) * 5
    assert problems == {"a photograph that cannot be read (its answer counts)": 1}
    write_labels(tmp_path / "labels.csv", {0: "roses", 1: "roses"})
    bright = {"brightness": histogram("brightness", range(60, 180)).tolist()}
    of = reference()
    known = of._replace(histograms={**of.histograms, **bright}, formats={"JPEG": 90, "PNG": 10})
    watched = settings(tmp_path, slices=("brightness",))
    watch(watched, tmp_path / "monitor.db", {"1": known}, START)
    (found,) = figures(tmp_path / "monitor.db")
    assert found["formats"] == {"PNG": 1}
    assert sum(found["histograms"]["brightness"]) == 1
    assert found["drift"]["format"]["total_variation"] == pytest.approx(0.9)
    stored = content(tmp_path / "monitor.db")
    tests = {test: counted for _, _, test, *counted in stored["shares"]}
    assert (tests["file_format=PNG"], tests["brightness<144"]) == ([1, 1], [1, 1])
    slices = {of_slice for _, _, of_slice, *_ in stored["metrics"]}
    assert slices == {"{}", slice_name({"brightness": "96 to 112"})}


def test_windows_one_after_the_other_with_moving_averages(tmp_path: Path) -> None:
    counts = (30, 40, 50, 60, 20, 20, 20, 20, 20)
    samples, labels = days([drawn(count, seed) for seed, count in enumerate(counts)])
    for each in samples[-40:]:
        each["time"] = each["time"].replace("2023-11-2", "2023-12-2")
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    watch(settings(tmp_path), tmp_path / "monitor.db", {}, START + 30 * DAY)
    with opened(tmp_path / "monitor.db") as connection:
        found = list(windows(connection, "1"))
        assert [window.figures["photographs"] for window in found] == [*counts]
        assert [window.empty_before for window in found] == [0, 0, 0, 0, 0, 0, 0, 30, 0]
        assert "after 30 windows without an answer" in found[7].in_words()
        points = series(connection, "1", "accuracy")
    right = [each["label"] == label for each, label in zip(samples, labels, strict=True)]
    ends = np.cumsum(counts)
    starts = [0, 0, 0, 0, 0, 0, 0, *ends[:2]]
    expected = [np.mean(right[start:end]) for start, end in zip(starts, ends, strict=True)]
    assert [point.average for point in points] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "nothing to watch: set 'samples' and 'model', or 'predictions'"),
        ({"samples": "s"}, "'samples' and 'model' go together"),
        ({"predictions": ["p"], "slices": [["label", "label"]]}, "a list of different columns"),
        ({"predictions": ["p"], "window": 5}, "window"),
        ({"predictions": ["p"], "window": "month"}, "window"),
    ],
)
def test_settings_that_cannot_be_used(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        validate_settings(MonitorSettings, {"state": "s", **values}, "monitor")
