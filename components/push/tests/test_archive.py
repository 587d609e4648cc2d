"""A folder of archives: what is in them, their checksums, and what the log says of them."""

import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest

from components.push import changes
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.archive import ArchiveTarget
from components.push.targets.target import PushTarget
from components.push.tests.test_targets import make_model
from darkroom.artifacts.model_repository import find_versions
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow  # sha256sum is a process


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "releases" / "flowers"


@pytest.fixture
def target(folder: Path) -> PushTarget:
    return target_for(f"archive://{folder}")


def publish(target: PushTarget, folder: Path, *contents: str) -> None:
    for content in contents:
        target.publish(make_model(folder / f"model {content}", content))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "push_log")


def sums(folder: Path) -> list[str]:
    """What the checksums are of, once they are found right."""
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    return [line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]


def test_archives_unpack_to_a_model_repository(
    target: PushTarget, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (target.current(), target.traffic(), list(target.versions())) == (None, {}, [])
    publish(target, tmp_path, "a", "b")
    assert sums(folder) == ["flowers-1.tar.gz", "flowers-2.tar.gz"]
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as file:
            file.extractall(tmp_path / "there", filter="data")
    found = find_versions(tmp_path / "there" / "flowers")
    assert [version.number for version in found] == [2, 1]
    assert (found[0].folder / "saved_model.pb").read_text() == "b"
    current = target.current()
    assert current is not None
    assert (current.number, target.traffic(), target.canary()) == (2, {2: 100}, None)
    with monkeypatch.context() as patch:  # what is fetched is not renamed from another disk
        patch.setattr(tempfile, "tempdir", "/none")
        target.fetch(current, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "saved_model.pb").read_text() == "b"
    again = target.publish(make_model(tmp_path / "again", "b"))
    assert (again, len(target.log())) == (current, 2)


def test_a_rollback_hides_archives_and_they_come_back(
    target: PushTarget, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="there is no model at archive://"):
        target.rollback()
    publish(target, tmp_path, "a", "b", "c")
    entry = target.rollback(reason="odd")
    assert (entry.rolled_back, entry.serving, target.traffic()) == ([3], 2, {2: 100})
    assert sums(folder) == ["flowers-1.tar.gz", "flowers-2.tar.gz"]
    assert ".rolled-back-flowers-3.tar.gz" in names(folder)
    assert [version.number for version in target.rolled_back()] == [3]
    assert target.rollback(to=3).serving == 3
    assert sums(folder)[-1] == "flowers-3.tar.gz"
    assert target.rollback(to=1).rolled_back == [3, 2]
    with pytest.raises(StepError, match="none to go back to"):
        target.rollback()
    with pytest.raises(StepError, match="has no version 9; it has"):
        target.rollback(to=9)
    publish(target, tmp_path, "d")
    assert target.traffic() == {4: 100}
    assert target.prune(2) == [1, 2]
    assert names(folder) == [".rolled-back-flowers-3.tar.gz", "SHA256SUMS", "flowers-4.tar.gz"]
    assert target.prune(2) == []


def test_a_killed_push_leaves_no_version(
    target: PushTarget, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(target, tmp_path, "a")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(changes, "change", killed)  # the archive is there, and not logged
        with pytest.raises(KeyboardInterrupt):
            publish(target, tmp_path, "b")
    assert [version.number for version in target.versions()] == [1]
    assert sums(folder) == ["flowers-1.tar.gz"]
    with monkeypatch.context() as patch:
        patch.setattr(ArchiveTarget, "_write_sums", killed)  # it is logged, without a checksum
        with pytest.raises(KeyboardInterrupt):
            publish(target, tmp_path, "c")
    publish(target, tmp_path, "d")
    assert sums(folder) == [f"flowers-{number}.tar.gz" for number in (1, 2)]
    assert [version.number for version in target.versions()] == [2, 1]


def test_canaries_are_refused_before_anything_runs(
    target: PushTarget, folder: Path, tmp_path: Path
) -> None:
    given = {"destination": f"archive://{folder}", "traffic": 10}
    with pytest.raises(SettingsError, match=r"takes no canaries: set push\.traffic to 100"):
        validate_settings(PushSettings, given, "push")
    with pytest.raises(StepError, match="takes no canaries"):
        target.publish(make_model(tmp_path / "a", "a"), 10)
    with pytest.raises(StepError, match="has no canary to promote"):
        target.promote()
    assert not folder.exists()
    with pytest.raises(SettingsError, match="a path of this machine"):
        validate_settings(PushSettings, {"destination": "archive://gs://bucket/a"}, "push")


def test_a_damaged_archive_is_one_line(target: PushTarget, folder: Path, tmp_path: Path) -> None:
    publish(target, tmp_path, "a")
    archive = folder / "flowers-1.tar.gz"
    archive.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(StepError, match=r"cannot use .*flowers"):
        target.current()
