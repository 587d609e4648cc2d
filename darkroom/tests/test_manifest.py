"""An artifact is whole or absent."""

import errno
import json
import os
from pathlib import Path

import pytest

from darkroom.artifacts.manifest import (
    atomic_artifact,
    folder_digest,
    read_manifest,
    write_manifest,
)
from darkroom.errors import StepError


def test_an_artifact_appears_when_all_is_done(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "examples"
    with atomic_artifact(target) as temporary:
        (temporary / "a").write_text("1")
        write_manifest(temporary, "examples", {"count": 1})
        assert not target.exists()
    assert read_manifest(target, "examples")["count"] == 1
    assert [path.name for path in target.parent.iterdir()] == ["examples"]


def test_an_error_leaves_what_stood_before(tmp_path: Path) -> None:
    target = tmp_path / "examples"
    with atomic_artifact(target) as temporary:
        (temporary / "a").write_text("old")

    def fail() -> None:
        with atomic_artifact(target) as temporary:
            (temporary / "a").write_text("new")
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        fail()
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["examples"]


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_artifact(tmp_path / "examples"):
            raise OSError(28, "No space left on device")

    with pytest.raises(StepError, match=r"cannot write .*examples: No space left on device"):
        fail()
    assert not list(tmp_path.iterdir())


def test_readers_refuse_what_they_cannot_read(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    with pytest.raises(StepError, match="does not exist"):
        read_manifest(folder, "model")
    folder.mkdir()
    with pytest.raises(StepError, match="not complete"):
        read_manifest(folder, "model")
    write_manifest(folder, "examples", {})
    with pytest.raises(StepError, match="holds examples, not model"):
        read_manifest(folder, "model")
    (folder / "manifest.json").write_text(json.dumps({"kind": "model", "format_version": 99}))
    with pytest.raises(StepError, match="format version 99"):
        read_manifest(folder, "model")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(StepError, match="cannot read the manifest"):
        read_manifest(folder, "model")


def test_a_digest_is_of_names_and_contents_but_not_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = folder_digest(tmp_path)
    write_manifest(tmp_path, "model", {})
    assert folder_digest(tmp_path) == before
    (tmp_path / "a").write_text("2")
    changed = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({before, changed, folder_digest(tmp_path)}) == 3


@pytest.mark.slow
def test_where_folders_cannot_be_renamed_files_are_copied_the_manifest_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a bucket that is mounted as a folder."""
    copied: list[str] = []

    def rename(self: Path, target: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def copyfile(source: Path, target: Path) -> None:
        copied.append(source.name)
        target.write_bytes(source.read_bytes())

    target = tmp_path / "model"
    with atomic_artifact(target) as temporary:
        (temporary / "variables").mkdir()
        for name in ("manifest.json", "saved_model.pb", "variables/index"):
            (temporary / name).write_text(name)
        monkeypatch.setattr(Path, "rename", rename)
        monkeypatch.setattr("darkroom.storage.atomic.shutil.copyfile", copyfile)
    assert copied == ["index", "saved_model.pb", "manifest.json"]
    assert (target / "variables" / "index").read_text() == "variables/index"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_stands_is_replaced_only_where_it_may_be(tmp_path: Path) -> None:
    target = tmp_path / "1"
    target.mkdir()
    (target / "a").write_text("first")

    def write() -> None:
        with atomic_artifact(target, replace=False) as temporary:
            (temporary / "a").write_text("second")

    with pytest.raises(StepError, match="cannot write"):
        write()
    assert (target / "a").read_text() == "first"


def test_a_digest_takes_names_that_are_no_text(tmp_path: Path) -> None:
    empty = folder_digest(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    latin = folder_digest(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).rename(tmp_path / os.fsdecode(b"caf\xe8.jpg"))
    assert len({empty, latin, folder_digest(tmp_path)}) == 3
