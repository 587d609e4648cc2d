"""Ingest's cache goes by what lies at a path: a change there is never missed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from components.ingest.fingerprint import fingerprint
from components.ingest.settings import IngestSettings
from components.ingest.tests.bucket import Bucket
from darkroom.errors import SettingsError

DEFAULTS = IngestSettings()
TABLE = b"image,label\nshelf://b/roses/1.jpg,rose\nshelf://b/tulips/2.jpg,tulip\n"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> type[Bucket]:
    """Two photographs, and a table of them."""
    files = {"roses/1.jpg": b"11", "tulips/2.jpg": b"22", "table/rows.csv": TABLE}
    monkeypatch.setattr(Bucket, "objects", {f"shelf://b/{k}": v for k, v in files.items()})
    monkeypatch.setattr(Bucket, "times", {})
    return Bucket


def overwrite(bucket: type[Bucket]) -> None:
    """Another photograph of the same name and size."""
    bucket.objects["shelf://b/roses/1.jpg"] = b"33"
    bucket.times["shelf://b/roses/1.jpg"] = 7.0


def grow(bucket: type[Bucket]) -> None:
    bucket.objects["shelf://b/roses/1.jpg"] = b"111"


def lose(bucket: type[Bucket]) -> None:
    del bucket.objects["shelf://b/roses/1.jpg"]


@pytest.mark.parametrize("data", ["shelf://b/*/rows.csv", "shelf://b/roses"])
@pytest.mark.parametrize("change", [overwrite, grow])
def test_a_changed_photograph_of_a_bucket_changes_it(
    bucket: type[Bucket], data: str, change: Callable[[type[Bucket]], None]
) -> None:
    if data.endswith("roses"):
        data = "shelf://b"
        del bucket.objects["shelf://b/table/rows.csv"]
    before = fingerprint(data, DEFAULTS)
    assert fingerprint(data, DEFAULTS) == before
    change(bucket)
    assert fingerprint(data, DEFAULTS) != before


def test_a_lost_photograph_and_a_changed_label_change_it(bucket: type[Bucket]) -> None:
    digests = [fingerprint("shelf://b/table/rows.csv", DEFAULTS)]
    lose(bucket)
    digests.append(fingerprint("shelf://b/table/rows.csv", DEFAULTS))
    bucket.objects["shelf://b/table/rows.csv"] = TABLE.replace(b"jpg,tulip", b"jpg,rose")
    digests.append(fingerprint("shelf://b/table/rows.csv", DEFAULTS))
    assert len(set(digests)) == 3


def test_a_folder_here_goes_by_names_sizes_and_times(tmp_path: Path) -> None:
    photographs = [tmp_path / label / f"{label}.jpg" for label in ("roses", "tulips")]
    for path in photographs:
        path.parent.mkdir()
        path.write_bytes(b"12")
    digests = {fingerprint(str(tmp_path), DEFAULTS)}
    assert {fingerprint(str(tmp_path), DEFAULTS)} == digests
    os.utime(photographs[0], ns=(0, 0))
    digests.add(fingerprint(str(tmp_path), DEFAULTS))
    photographs[1].rename(tmp_path / "roses" / "tulips.jpg")
    digests.add(fingerprint(str(tmp_path), DEFAULTS))
    assert len(digests) == 3


def test_digits_are_always_the_same() -> None:
    assert fingerprint("sklearn:digits", DEFAULTS) == fingerprint("sklearn:digits", DEFAULTS)


@pytest.mark.parametrize("key", ["previous", "expectations.previous"])
def test_another_earlier_run_changes_it(tmp_path: Path, key: str) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    section = {"previous": str(earlier)}
    settings = IngestSettings.model_validate(
        section if key == "previous" else {"expectations": section}
    )
    with pytest.raises(SettingsError, match=r"cannot read .*earlier"):
        fingerprint("sklearn:digits", settings)
    digests = []
    for content in ("{}", '{"counts": 1}'):
        (earlier / "manifest.json").write_text(content)
        digests.append(fingerprint("sklearn:digits", settings))
    assert digests[0] != digests[1]
