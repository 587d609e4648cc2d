"""When a retraining is claimed, and the dataset that it writes."""

import base64
import csv
import dataclasses
import hashlib
import io
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.monitor.job import RETRAIN, STEADY, monitor
from components.monitor.monitor import watch
from components.monitor.retraining.claims import (
    Retraining,
    note_end,
    note_run,
    open_retraining,
    parsed_retraining,
)
from components.monitor.retraining.conditions import parse_when
from components.monitor.retraining.due import Since, new_labels, reason_to_retrain
from components.monitor.retraining.retraining import update_retraining
from components.monitor.settings import MonitorSettings
from components.monitor.state.database import opened
from components.monitor.state.folder import OvertakenError, changed, held
from components.monitor.tests.small_world import (
    DAY,
    LABELS,
    START,
    days,
    drawn,
    reference,
    sample,
    write_samples,
)
from components.monitor.tests.test_reading import write_batch
from darkroom.storage.files import read_bytes
from darkroom.tests.cloud_storage import fake_cloud_storage

KNOWN = {"1": reference()}


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class World:
    """A server that keeps photographs, and labels that come."""

    def __init__(self, folder: Path, when: str, **retrain: Any) -> None:
        self.folder, self.database = folder, folder / "monitor.db"
        self.labels: dict[str, str] = {}
        self.settings = MonitorSettings(
            state=str(folder),
            samples=str(folder),
            model="flowers",
            labels=(str(folder / "labels.csv"),),
            retrain={"dataset": str(folder / "dataset"), **retrain, "when": when},
        )

    def serve(self, count: int, kept: int | None = None, day: int = 0) -> list[str]:
        """Serves photographs, of which the first ones are kept; their identities."""
        truth, probabilities = drawn(count, seed=day)
        samples, names = [], []
        for place in range(count):
            content = picture(1000 * day + place)
            encoded = base64.b64encode(content).decode()
            more = {"image": encoded} if kept is None or place < kept else {}
            time = START + day * DAY + place
            of_place = sample(place, time, probabilities[place], **more)
            samples.append(of_place | {"image_id": digest(content), "key": None})
            names.append(digest(content))
            self.truth = truth
        with (self.folder / "all.jsonl").open("a") as file:
            file.writelines(json.dumps(each) + "\n" for each in samples)
        lines = (self.folder / "all.jsonl").read_text().splitlines()
        write_samples(self.folder, [json.loads(line) for line in lines])
        return names

    def label(self, names: list[str], label: str = LABELS[0]) -> None:
        self.labels |= dict.fromkeys(names, label)

    def write_labels(self) -> None:
        rows = "".join(f"{name},{label},left\n" for name, label in self.labels.items())
        (self.folder / "labels.csv").write_text("image_id,label,camera\n" + rows)

    def look(self, now: float) -> Retraining | None:
        self.write_labels()
        watch(self.settings, self.database, KNOWN, now)
        with opened(self.database) as connection:
            return update_retraining(connection, self.settings, now, KNOWN)

    def end(self, number: int, ended: str = "blessed") -> None:
        with opened(self.database) as connection:
            note_run(connection, number, "run")
            note_end(connection, number, ended)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return {
            path.stem: [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted((self.folder / "dataset").glob("*.jsonl"))
        }


def test_new_labels_are_claimed_once_and_written(tmp_path: Path) -> None:
    world = World(tmp_path, "new_labels >= 5")
    names = world.serve(8)
    world.label(names[:4])
    assert world.look(START + 100) is None
    world.label(names[4:6], LABELS[1])
    found = world.look(START + 200)
    assert found is not None
    assert (found.number, found.reason, found.labelled) == (1, "6 new labels", 6)
    assert world.look(START + 300) == found
    ((name, rows),) = world.tables().items()
    assert name == found.key
    assert [row["label"] for row in rows].count(LABELS[1]) == 2
    for row in rows:
        content = (tmp_path / "dataset" / row["image"]).read_bytes()
        assert digest(content) in names[:6]
        assert (row["source"], row["answered_on"]) == ("monitored", "2023-11-15")
    world.end(1)
    # What that retraining had counts no more, and is in no second table.
    assert world.look(START + 400) is None
    later = world.serve(6, day=1)
    world.label(later)
    second = world.look(START + DAY)
    assert second is not None
    assert (second.number, second.labelled) == (2, 6)
    assert len(world.tables()) == 2
    connection = sqlite3.connect(world.database)
    marks = connection.execute("SELECT kind, version, text FROM marks ORDER BY time").fetchall()
    connection.close()
    assert marks == [
        ("retraining", "1", "6 new labels: blessed"),
        ("retraining", "1", "6 new labels"),
    ]


def test_contradicting_labels_and_photographs_that_were_not_kept_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, "new_labels >= 5")
    names = world.serve(8, kept=7)
    world.label(names)
    (tmp_path / "others.csv").write_text(f"image_id,label\n{names[0]},{LABELS[2]}\n")
    tables = (*world.settings.labels, str(tmp_path / "others.csv"))
    world.settings = world.settings.model_copy(update={"labels": tables})
    found = world.look(START + 100)
    assert found is not None
    assert found.labelled == 6
    assert "1 of 7 labelled photographs were not kept" in caplog.text
    assert "sample.images" in caplog.text


def test_photographs_of_batch_predictions(tmp_path: Path) -> None:
    world = World(tmp_path, "new_labels >= 2")
    (tmp_path / "arrived").mkdir()
    truth, probabilities = drawn(3)
    rows = []
    for place in range(3):
        content = picture(place)
        path = tmp_path / "arrived" / f"{place}.png"
        path.write_bytes(content if place else b"another by now")
        row = sample(place, START, probabilities[place]) | {"image_id": digest(content)}
        rows.append({name: row[name] for name in row if name not in ("key", "model", "version")})
        rows[-1] |= {"image": str(path) if place == 1 else path.name}
        world.label([digest(content)], LABELS[truth[place]])
    asked = {"settings": {"data": [f"{tmp_path}/arrived/table.csv"]}}
    folder = write_batch(tmp_path / "predicted", "jsonl", rows, **asked)
    own = {"samples": None, "model": None, "predictions": (str(folder),)}
    world.settings = world.settings.model_copy(update=own)
    found = world.look(START + 100)
    assert found is not None
    assert found.labelled == 2


@pytest.mark.parametrize(
    ("how", "count", "expected"),
    [
        ("auto", 150, "fine_tune"),
        ("auto", 250, "from_scratch"),  # the reference has 2,000
        ("fine_tune", 250, "fine_tune"),
        ("from_scratch", 20, "from_scratch"),
    ],
)
def test_how(tmp_path: Path, how: str, count: int, expected: str) -> None:
    world = World(tmp_path, "new_labels >= 5", how=how)
    world.label(world.serve(count))
    found = world.look(START + 100)
    assert found is not None
    assert (found.how, found.labelled) == (expected, count)


def test_a_noisy_student_gets_what_the_model_is_sure_of(tmp_path: Path) -> None:
    sure = {"threshold": 0.6, "imbalance": 2}
    world = World(tmp_path, "new_labels >= 5", how="noisy_student", pseudo_labels=sure)
    names = world.serve(60)
    world.label(names[:6])
    found = world.look(START + 100)
    assert found is not None
    assert (found.how, found.labelled) == ("noisy_student", 6)
    (table,) = (tmp_path / "dataset").glob("*.csv")
    assert world.settings.retrain is not None
    assert str(table) == world.settings.retrain.pseudo_labels_of(found.key)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    _, probabilities = drawn(60)
    expected = {name: LABELS[row.argmax()] for name, row in zip(names, probabilities, strict=True)}
    for row in rows:
        name = digest((tmp_path / "dataset" / row["image"]).read_bytes())
        assert name in names[6:]
        assert row["label"] == expected[name]
        assert float(row["teacher_probability"]) >= 0.6
        assert (row["split"], row["pseudo_labelled"], row["source"]) == ("train", "1", "monitored")
    counts = Counter(row["label"] for row in rows)
    assert len(counts) == len(LABELS)
    assert max(counts.values()) <= 2 * min(counts.values())
    # The next look writes nothing again, and the next retraining has a table of its own.
    written = table.read_bytes()
    assert world.look(START + 200) == found
    assert table.read_bytes() == written
    world.end(1)
    world.label(names[6:20])
    second = world.look(START + 300)
    assert second is not None
    assert len(list((tmp_path / "dataset").glob("*.csv"))) == 2


def test_a_model_that_is_sure_of_nothing_has_no_student(tmp_path: Path) -> None:
    sure = {"threshold": 1.0}
    world = World(tmp_path, "new_labels >= 5", how="noisy_student", pseudo_labels=sure)
    world.label(world.serve(20)[:6])
    found = world.look(START + 100)
    assert found is not None
    assert (found.how, found.labelled) == ("from_scratch", 6)
    assert not list((tmp_path / "dataset").glob("*.csv"))


def test_every_and_and(tmp_path: Path) -> None:
    world = World(tmp_path, "every 3 days and new_labels >= 2")
    names = world.serve(4)
    assert world.look(START + 4 * DAY) is None
    world.label(names[:2])
    assert world.look(START + 2 * DAY) is None
    found = world.look(START + 4 * DAY)
    assert found is not None
    assert found.reason == "every 3 days and 2 new labels"


def test_a_claim_that_broke_off_is_prepared_by_the_next_look(tmp_path: Path) -> None:
    world = World(tmp_path, "new_labels >= 5", how="fine_tune")
    world.label(world.serve(6))
    dataset = tmp_path / "dataset"
    dataset.write_text("not a folder")
    with pytest.raises(Exception, match="cannot write to"):
        world.look(START + 100)
    dataset.unlink()
    found = world.look(START + 200)
    assert found is not None
    assert (found.number, found.claimed, found.labelled) == (1, START + 100, 6)
    assert len(world.tables()) == 1


def written(path: Path, rows: list[tuple[int, float, int]]) -> sqlite3.Connection:
    """A database with the accuracy of windows: window, accuracy, photographs."""
    with opened(path):
        pass
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = MEMORY")
    for window, value, count in rows:
        figures = json.dumps({"first": f"2026-11-{window + 1:02d}T00:00:00.000+00:00"})
        connection.execute("INSERT INTO windows VALUES ('1', ?, ?, 1)", (window, figures))
        row = (window, "{}", "accuracy", value, None, None, count)
        connection.execute("INSERT INTO metrics VALUES ('1', ?, ?, ?, ?, ?, ?, ?)", row)
    return connection


def test_a_limit_does_not_fire_on_noise_and_does_on_a_fall(tmp_path: Path) -> None:
    """Accuracy that is just what it must be, looked at in every window of 40 lives."""
    generator = np.random.default_rng(0)
    when, fired = parse_when("accuracy < 0.9"), 0
    for life in range(40):
        values = generator.binomial(100, 0.9, 30) / 100
        rows = [(window, float(value), 100) for window, value in enumerate(values[:28])]
        connection = written(tmp_path / f"{life}.db", rows)
        for last in range(len(rows), 0, -7):
            fired += bool(reason_to_retrain(connection, when, Since("1", 0.0, 0.0, 0.01)))
            connection.execute("DELETE FROM metrics WHERE window >= ?", (last - 7,))
        connection.close()
    assert fired <= 2
    rows = [(window, 0.93 if window < 10 else 0.8, 100) for window in range(14)]
    connection = written(tmp_path / "fallen.db", rows)
    reason = reason_to_retrain(connection, when, Since("1", 0.0, 0.0, 0.01))
    assert reason == "accuracy 0.893 of 1,400 photographs is below 0.9"
    connection.close()


def test_drift_for_windows_counts_those_after_the_last_retraining(tmp_path: Path) -> None:
    worlds = [drawn(200, seed) for seed in range(3)]
    worlds += [drawn(200, seed, shares=(0.9, 0.05, 0.05)) for seed in range(3, 8)]
    samples, _ = days(worlds)
    world = World(tmp_path, "label_drift for 3 windows")
    write_samples(tmp_path, samples[: 200 * 5])
    assert world.look(START + 5 * DAY) is None
    write_samples(tmp_path, samples[: 200 * 6])
    found = world.look(START + 6 * DAY)
    assert found is not None
    assert found.reason == "label drift for 3 windows (label=daisy)"
    world.end(1, "not blessed")
    write_samples(tmp_path, samples)
    assert world.look(START + 6 * DAY + 1) is None  # two windows since
    more, _ = days([*worlds, drawn(200, 9, shares=(0.9, 0.05, 0.05))])
    write_samples(tmp_path, more)
    second = world.look(START + 9 * DAY)
    assert second is not None
    assert second.number == 2


def test_new_labels_go_by_when_they_were_read(tmp_path: Path) -> None:
    world = World(tmp_path, "new_labels >= 100")
    world.label(world.serve(4))
    world.look(START + 100)
    with opened(world.database) as connection:
        assert new_labels(connection, 0.0) == 4
        assert new_labels(connection, START + 100) == 0


def test_a_retraining_passes_through_json() -> None:
    found = Retraining(2, 1.5, "accuracy", "fine_tune", 7)
    assert parsed_retraining(json.loads(json.dumps(dataclasses.asdict(found)))) == found
    wrongs: list[Any] = [{}, [], None, dataclasses.asdict(found) | {"how": "x"}, {"number": True}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="retraining"):
            parsed_retraining(wrong)


@pytest.mark.slow
def test_a_dataset_and_a_state_in_a_bucket(tmp_path: Path) -> None:
    with fake_cloud_storage():
        world = World(tmp_path, "new_labels >= 5", how="fine_tune", dataset="gs://bucket/made")
        named = {"state": "gs://bucket/state", "versions": "gs://bucket/served"}
        settings = world.settings.model_copy(update=named)
        names = world.serve(6)
        world.label(names)
        world.write_labels()
        assert monitor(settings, watched=tmp_path / "watched") == RETRAIN
        claimed = changed(settings.state, open_retraining)
        assert claimed is not None
        assert claimed.labelled == 6
        text = read_bytes(f"gs://bucket/made/{claimed.key}.jsonl").decode()
        for row in map(json.loads, text.splitlines()):
            assert digest(read_bytes(f"gs://bucket/made/{row['image']}")) in names
        with held(settings.state) as state:
            # A run that has ended says so, while a monitor is at work with a copy.
            changed(settings.state, lambda connection: note_end(connection, 1, "blessed"))
            with pytest.raises(OvertakenError):
                state.claim()
        assert changed(settings.state, open_retraining) is None
        assert monitor(settings, watched=tmp_path / "watched") == STEADY
