"""What is read of a pushed version, and of all versions at a push destination."""

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from components.monitor.drift.answers import confidences
from components.monitor.monitor import watch
from components.monitor.sequential.changed_share import Counted
from components.monitor.tests.pushed_versions import evaluated, write_version
from components.monitor.tests.small_world import (
    DAY,
    START,
    content,
    days,
    drawn,
    settings,
    write_samples,
)
from components.monitor.windows.alarms import families_of
from components.monitor.windows.reference import read_reference, slice_name, version_references
from darkroom.artifacts.predictions import probability_array
from darkroom.errors import SettingsError, StepError
from darkroom.storage import folders
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3


def test_a_reference_counts_both_splits_and_what_is_right_of_the_test_split(tmp_path: Path) -> None:
    answers = evaluated(40, valid=10)
    version = write_version(tmp_path / "1", answers)
    found = read_reference(str(version), (("camera",), ("label", "camera"), ("brightness",)))
    rows = answers.to_pylist()
    assert found.given == Counter(row["predicted_label"] for row in rows)
    assert sum(found.histograms["confidence"]) == sum(found.histograms["entropy"]) == 40
    right = [row["predicted_label"] == row["label"] for row in rows]
    sure = confidences(probability_array(answers))
    is_valid = [row["split"] == "valid" for row in rows]
    pairs = zip(sure, right, is_valid, strict=True)
    assert list(found.valid) == [(sure, right) for sure, right, valid in pairs if valid]
    tested = [row | {"hit": hit} for row, hit in zip(rows, right, strict=True)]
    tested = [row for row in tested if row["split"] == "test"]
    assert found.right["{}"] == Counted(sum(row["hit"] for row in tested), 30)
    left = [row["hit"] for row in tested if row["slices"]["camera"] == "left"]
    assert found.right[slice_name({"camera": "left"})] == Counted(sum(left), 15)
    roses = [
        row["hit"]
        for row in tested
        if row["slices"]["camera"] == "left" and row["label"] == "roses"
    ]
    cross = slice_name({"camera": "left", "label": "roses"})
    assert found.right[cross] == Counted(sum(roses), len(roses))
    assert not any("brightness" in name for name in found.right)
    assert found.embedded is None
    assert "embedding" not in families_of(found)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """Versions of every role, and some that cannot be used."""
    served = tmp_path / "served"
    for number, name in enumerate(("1", ".canary-2", ".rolled-back-3", ".superseded-4"), 1):
        write_version(served / name, evaluated(20, seed=number), np.ones((20, 3), np.float16))
    write_version(served / ".staged-9", evaluated(20))
    shutil.rmtree(write_version(served / "5", evaluated(20)) / "reference")
    damaged = write_version(served / "6", evaluated(20))
    (damaged / "reference" / "answers.parquet").write_bytes(b"PAR1")
    write_version(served / "7", evaluated(20), multi_label=True)
    (write_version(served / "8", evaluated(20)) / "saved_model.pb").unlink()
    return served


def test_all_versions_that_may_have_answered(
    destination: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = version_references(str(destination), ())
    assert sorted(found) == ["1", "2", "3", "4"]
    assert len({reference.digest for reference in found.values()}) == 4
    assert found["2"].embedded is not None
    assert found["2"].embedded.rows.shape == (20, 3)
    warnings = sorted(caplog.messages)
    assert [message.partition(": ")[0] for message in warnings] == [
        "version 6 is not tested",
        "version 7 is not tested",
    ]
    assert list(version_references(str(destination / ".canary-2"), ())) == ["2"]
    with pytest.raises(StepError, match="has no reference: an older release pushed it"):
        read_reference(str(destination / "5"), ())
    with pytest.raises(SettingsError, match="several labels, which is not watched"):
        read_reference(str(destination / "7"), ())
    with pytest.raises(SettingsError, match="name a folder that they were unpacked to"):
        version_references("archive://releases/flowers", ())
    assert version_references(str(destination / "nothing"), ()) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "store"), [("gs", fake_cloud_storage), ("s3", fake_s3)])
def test_versions_in_a_bucket(
    destination: Path, scheme: str, store: Callable[[], AbstractContextManager[str]]
) -> None:
    here = version_references(str(destination), ())
    with store():
        uri = f"{scheme}://bucket/served"
        folders.upload_folder(destination, uri)
        there = version_references(f"kserve://models/flowers?storage={uri}", ())
        assert {version: each.digest for version, each in there.items()} == {
            version: each.digest for version, each in here.items()
        }
        assert there["1"].embedded is not None
        assert there["1"].embedded.rows.tolist() == np.ones((20, 3)).tolist()


def test_a_version_that_is_gone_is_counted_and_said(tmp_path: Path) -> None:
    samples, _ = days([drawn(20)])
    write_samples(tmp_path, [*samples[:10], *(each | {"version": 2} for each in samples[10:])])
    (tmp_path / "labels.csv").write_text("image_id,label\n")
    version = write_version(tmp_path / "served" / "1", evaluated(200))
    known = {"1": read_reference(str(version), ())}
    report = watch(settings(tmp_path), tmp_path / "monitor.db", known, START + DAY)
    assert report.windows == [("1", START), ("2", START)]
    assert report.problems == {"version 2 is gone, or an older release pushed it: not tested": 1}
    assert {row[0] for row in content(tmp_path / "monitor.db")["tests"]} == {"1"}
