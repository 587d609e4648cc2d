"""Atomic writes: complete under its name or not there, whoever else writes, whatever fails."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import StepError
from darkroom.storage import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(st.sampled_from(["run.json", "best.weights.h5", "flowers", "a.b.yaml"]))
def test_a_temporary_name_is_unique_hidden_and_ends_as_the_path(name: str) -> None:
    found = {atomic.temporary_name(Path("folder") / name) for _ in range(50)}
    assert len(found) == 50  # not told apart by a process number, which containers share
    assert all(path.name.startswith(".") and path.name.endswith(name) for path in found)


def test_a_file_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    atomic.write_json(file, {"run": 1})
    with pytest.raises(ZeroDivisionError), atomic.atomic_file(file) as temporary:
        temporary.write_text(f"{1 / 0}")
    assert file.read_text() == '{\n  "run": 1\n}\n'
    assert names(tmp_path) == ["run.json"]


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: Any = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda a, b: (steps.append("rename"), replace(a, b))[1])
    atomic.write_text(tmp_path / "manifest.json", "{}")
    assert steps == ["fsync", "rename"]


def test_a_folder_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with atomic.atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("first")
    with pytest.raises(ZeroDivisionError), atomic.atomic_folder(folder) as temporary:
        (temporary / "weights").write_text(f"{1 / 0}")
    assert (folder / "weights").read_text() == "first"
    assert names(tmp_path) == ["model"]


def test_a_folder_that_is_there_may_be_kept(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "file").touch()
    with (
        pytest.raises(StepError, match="cannot write"),
        atomic.atomic_folder(tmp_path / "1", replace=False) as temporary,
    ):
        (temporary / "file").touch()


def test_where_folders_cannot_be_renamed_what_readers_go_by_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a bucket that Vertex mounts."""

    def refuse(path: Path, target: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    copied: Any = []
    monkeypatch.setattr(Path, "rename", refuse)
    copy = shutil.copyfile
    monkeypatch.setattr(
        shutil, "copyfile", lambda a, b: (copied.append(Path(b).name), copy(a, b))[1]
    )
    with atomic.atomic_folder(tmp_path / "model", last=("saved_model.pb", "manifest.json")) as made:
        for name in ("manifest.json", "saved_model.pb", "variables", "zebra"):
            (made / name).touch()
    # Each under a temporary name first, so that it comes whole.
    last = [name.split("-", 2)[-1] for name in copied[-2:]]
    assert last == ["saved_model.pb", "manifest.json"]
    assert all(name.startswith(".partial-") for name in copied)
    assert names(tmp_path) == ["model"]


def test_of_many_writers_one_creates_a_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as threads:
        created = list(
            threads.map(
                lambda n: atomic.create_file(tmp_path / "claim", str(n).encode()), range(16)
            )
        )
    assert sum(created) == 1
    assert (tmp_path / "claim").read_text() == str(created.index(True))
    assert names(tmp_path) == ["claim"]


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    atomic.temporary_name(tmp_path / "run.json").touch()
    atomic.temporary_name(tmp_path / "model").mkdir()
    (tmp_path / "kept").touch()
    atomic.remove_temporary(tmp_path, older_than=60)
    assert len(names(tmp_path)) == 3  # somebody may still be writing them
    atomic.remove_temporary(tmp_path)
    assert names(tmp_path) == ["kept"]


def test_a_folder_whose_move_was_cut_off_is_whole_in_the_end(tmp_path: Path) -> None:
    source, target = tmp_path / "staged", tmp_path / "1"
    for folder in (source, target):
        (folder / "variables").mkdir(parents=True)
    for name in ("a", "variables/b"):
        (source / name).write_text(name)
    (target / "a").write_text("a")
    atomic.temporary_name(target / "variables" / "b").write_text("half of")
    atomic.move_folder(source, target, ("a",))
    assert sorted(path.name for path in target.rglob("*")) == ["a", "b", "variables"]
    assert not source.exists()
