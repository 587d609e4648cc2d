"""Embeddings of windows: where they come from, what they say, and that each is computed once."""

import base64
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.monitor.drift.domain import separability
from components.monitor.drift.kernel import bandwidth, kernel_test
from components.monitor.monitor import watch
from components.monitor.reading import sources
from components.monitor.sequential.starts import start_weight
from components.monitor.settings import MonitorSettings
from components.monitor.state import embeddings as kept
from components.monitor.state.database import opened
from components.monitor.tests.batches import embedded_rows, write_batch
from components.monitor.tests.pushed_versions import (
    embedding,
    embeddings_of_reference,
    evaluated,
    normal_reference,
    photograph,
    save_model,
    write_version,
)
from components.monitor.tests.small_world import (
    DAY,
    START,
    content,
    days,
    drawn,
    figures,
    image_id,
    settings,
    write_labels,
    write_samples,
)
from components.monitor.windows import embeddings
from components.monitor.windows.alarms import families_of
from components.monitor.windows.history import windows
from components.monitor.windows.reference import read_reference

NOW = START + 30 * DAY
OF_DAY = 60


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with a model that gives embeddings, evaluated on 400 photographs."""
    folder = tmp_path_factory.mktemp("served") / "1"
    write_version(folder, evaluated(400, valid=100), embeddings_of_reference(400))
    (folder / "saved_model.pb").unlink()
    save_model(folder)
    return folder


def photographed(count: int, dark_from: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Samples of some days with their photographs, dark ones from a day on."""
    samples, labels = days([drawn(OF_DAY, seed) for seed in range(count)])
    for number, each in enumerate(samples):
        image = photograph(number, dark=number >= dark_from * OF_DAY)
        each["image"] = base64.b64encode(image).decode()
    return samples, labels


def embedded_tests(database: Path) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(database)
    rows = connection.execute(
        "SELECT window, log_e_value, alarm, since, before, after FROM tests "
        "WHERE test = 'embedding' ORDER BY window"
    ).fetchall()
    connection.close()
    return rows


@pytest.mark.slow
def test_photographs_of_another_kind_alarm_in_the_second_window_that_has_them(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, labels = photographed(6, dark_from=4)
    write_samples(tmp_path, samples)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    known = {"1": read_reference(str(version), ())}
    database = tmp_path / "monitor.db"
    report = watch(settings(tmp_path), database, known, NOW)
    assert not report.problems
    tests = embedded_tests(database)
    assert [window for window, *_ in tests] == [START + day * DAY for day in (1, 2, 3, 4, 5)]
    assert [alarm for _, _, alarm, *_ in tests] == [0, 0, 0, 0, 1]
    assert tests[-1][3:5] == (START + 4 * DAY, 0.5)
    assert tests[-1][5] > 0.9
    found = [each["embedding"] for each in figures(database)]
    assert [each["photographs"] for each in found] == [OF_DAY] * 6
    assert min(each["p_value"] for each in found[:4]) > 0.01
    assert max(each["p_value"] for each in found[4:]) < 0.01
    # They are the figures of the functions, on what the model gives.
    numbers = sorted(range(OF_DAY), key=image_id)
    rows = np.array([embedding(photograph(number)) for number in numbers], np.float16)
    of_reference = embeddings_of_reference(400)
    width = bandwidth(of_reference)
    expected = kernel_test(rows, of_reference, width)
    assert found[0]["mmd2"] == pytest.approx(expected.mmd2, abs=1e-9)
    assert found[0]["separability"] == pytest.approx(separability(rows, of_reference), abs=1e-9)
    with opened(database) as connection:
        corrected = [each.figures["embedding"]["corrected"] for each in windows(connection, "1")]
    assert corrected[4] == pytest.approx(found[4]["p_value"] * 4 / start_weight(5))
    # The same again computes nothing.
    before = content(database)
    monkeypatch.setattr(sources, "embedded", None)
    assert watch(settings(tmp_path), database, known, NOW).windows == []
    assert content(database) == before


@pytest.mark.slow
def test_in_parts_in_another_order_late_and_broken_off_come_to_the_same(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, labels = photographed(4, dark_from=2)
    write_labels(tmp_path / "labels.csv", dict(enumerate(labels)))
    known = {"1": read_reference(str(version), ())}
    write_samples(tmp_path, samples)
    whole, parts, broken = (tmp_path / f"{name}.db" for name in ("whole", "parts", "broken"))
    watch(settings(tmp_path), whole, known, NOW)
    expected = content(whole)
    assert len(expected["embeddings"]) == 4 * OF_DAY
    later = [*samples[3 * OF_DAY :], *samples[: OF_DAY // 2]]
    for part in (later, samples[OF_DAY : 2 * OF_DAY], samples):
        write_samples(tmp_path, part)
        watch(settings(tmp_path), parts, known, NOW)
    assert content(parts) == expected
    for place in ("forget_windows", "transaction"):
        calls: list[int] = []
        real = getattr(kept, place)

        def breaks(*arguments: Any, real: Any = real, calls: list[int] = calls) -> Any:
            calls.append(1)
            if len(calls) == 1:
                raise KeyboardInterrupt
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(kept, place, breaks)
            with pytest.raises(KeyboardInterrupt):
                watch(settings(tmp_path), broken, known, NOW)
        watch(settings(tmp_path), broken, known, NOW)
        assert content(broken) == expected
        broken.unlink()


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_and_a_photograph_that_is_none(
    version: Path, tmp_path: Path
) -> None:
    samples, _ = photographed(1, dark_from=1)
    samples[3]["image"] = base64.b64encode(b"no photograph").decode()
    write_samples(tmp_path, samples)
    (tmp_path / "labels.csv").write_text("image_id,label\n")
    known = {"1": read_reference(str(version), ())}
    report = watch(settings(tmp_path), tmp_path / "monitor.db", known, NOW)
    assert report.problems == {
        "a photograph that cannot be read (its answer counts)": 1,
        "a photograph that has no embedding (its answer counts)": 1,
    }
    (found,) = figures(tmp_path / "monitor.db")
    assert (found["photographs"], found["embedding"]["photographs"]) == (OF_DAY, OF_DAY - 1)
    other = write_version(tmp_path / "served" / "1", evaluated(50), embeddings_of_reference(50))
    unloadable = {"1": read_reference(str(other), ())}
    report = watch(settings(tmp_path), tmp_path / "other.db", unloadable, NOW)
    assert any(problem.startswith("version 1 gives no embeddings: ") for problem in report.problems)
    (found,) = figures(tmp_path / "other.db")
    assert (found["photographs"], found["embedding"]) == (OF_DAY, None)


def of_batches(*folders: Path, **more: Any) -> MonitorSettings:
    return MonitorSettings(state="state", predictions=tuple(map(str, folders)), slices=(), **more)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "tfrecord"])
def test_embeddings_of_batch_predictions_of_every_format(tmp_path: Path, form: str) -> None:
    rows = embedded_rows(range(20), START)
    rows[4]["embedding"] = [1.0, 2.0]
    folder = write_batch(tmp_path / "p", form, rows)
    known = normal_reference(tmp_path / "served" / "1")
    report = watch(of_batches(folder), tmp_path / "monitor.db", known, NOW)
    assert report.problems == {"an embedding of another size, or not finite (its answer counts)": 1}
    found = {row[1]: np.frombuffer(row[2], np.float16) for row in content_of(tmp_path)}
    expected = {row["image_id"]: row["embedding"] for row in rows if len(row["embedding"]) == 6}
    assert found.keys() == expected.keys()
    for each, values in found.items():
        assert values == pytest.approx(np.float16(expected[each]))


def content_of(folder: Path) -> list[Any]:
    return content(folder / "monitor.db")["embeddings"]


def test_a_thousand_of_a_window_are_kept_whatever_comes_first(tmp_path: Path) -> None:
    numbers = sorted(range(1600), key=image_id)
    known = normal_reference(tmp_path / "served" / "1")
    ordered = write_batch(tmp_path / "first", "parquet", embedded_rows(numbers[:900], START))
    late = write_batch(tmp_path / "last", "parquet", embedded_rows(numbers[900:], START + 1))
    expected = {image_id(number) for number in numbers[:1000]}
    for name, folders in (("monitor", (ordered, late)), ("other", (late, ordered))):
        for count in (1, 2):
            watch(of_batches(*folders[:count]), tmp_path / f"{name}.db", known, NOW)
        assert {row[1] for row in content(tmp_path / f"{name}.db")["embeddings"]} == expected
    one, other = (content(tmp_path / f"{name}.db") for name in ("monitor", "other"))
    assert one["embeddings"] == other["embeddings"]
    assert figures(tmp_path / "monitor.db")[0]["embedding"]["photographs"] == 1000


def test_photographs_that_come_every_day_are_bet_on_once(tmp_path: Path) -> None:
    known = normal_reference(tmp_path / "served" / "1")
    # The same hundred every day: a direction that was fitted on them knows them.
    folders = [
        write_batch(tmp_path / f"{day}", "parquet", embedded_rows(range(100), START + day * DAY))
        for day in range(8)
    ]
    database = tmp_path / "monitor.db"
    watch(of_batches(*folders), database, known, NOW)
    assert embedded_tests(database) == []
    fresh = embedded_rows(range(100, 200), START + 8 * DAY, shift=3.0)
    folders.append(write_batch(tmp_path / "8", "parquet", fresh))
    last = embedded_rows(range(200, 300), START + 9 * DAY, shift=3.0)
    folders.append(write_batch(tmp_path / "9", "parquet", last))
    watch(of_batches(*folders), database, known, NOW)
    assert [alarm for _, _, alarm, *_ in embedded_tests(database)] == [0, 1]


def test_another_size_of_windows_or_reference_or_rate(tmp_path: Path) -> None:
    known = normal_reference(tmp_path / "served" / "1")
    folders = [
        write_batch(
            tmp_path / f"{day}", "jsonl", embedded_rows(range(50 * day, 50 * day + 50), START + day)
        )
        for day in range(4)
    ]
    assert families_of(known["1"])["embedding"] == ["embedding"]
    changed, fresh = tmp_path / "changed.db", tmp_path / "fresh.db"
    watch(of_batches(*folders, window="day"), changed, known, NOW)
    watch(of_batches(*folders, window=50, rate=0.2), changed, known, NOW)
    watch(of_batches(*folders, window=50, rate=0.05), changed, known, NOW)
    watch(of_batches(*folders, window=50, rate=0.05), fresh, known, NOW)
    assert content(changed) == content(fresh)
    assert len(embedded_tests(fresh)) == 3
    other = normal_reference(tmp_path / "again" / "1", count=200)
    watch(of_batches(*folders, window=50, rate=0.05), changed, other, NOW)
    (tmp_path / "fresh.db").unlink()
    watch(of_batches(*folders, window=50, rate=0.05), fresh, other, NOW)
    assert content(changed) == content(fresh)


def test_labels_that_come_late_compute_nothing_of_embeddings_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = normal_reference(tmp_path / "served" / "1")
    rows = [embedded_rows(range(40 * day, 40 * day + 40), START + day * DAY) for day in range(3)]
    batches = [write_batch(tmp_path / f"{day}", "jsonl", each) for day, each in enumerate(rows)]
    labels = str(tmp_path / "labels.csv")
    write_labels(tmp_path / "labels.csv", {})
    database = tmp_path / "monitor.db"
    watch(of_batches(*batches, labels=(labels,)), database, known, NOW)
    before = content(database)
    write_labels(tmp_path / "labels.csv", dict.fromkeys(range(60), "roses"))
    monkeypatch.setattr(embeddings, "kernel_test", None)
    report = watch(of_batches(*batches, labels=(labels,)), database, known, NOW)
    assert len(report.windows) == 2
    assert [each["labelled"] for each in figures(database)] == [40, 20, 0]
    after = content(database)
    same = ("embeddings", "embedded_windows", "bets")
    assert [after[table] for table in same] == [before[table] for table in same]
