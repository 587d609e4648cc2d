"""Records in a store: complete or gone, and swept when they are old."""

import os
import shutil
import time
from pathlib import Path

import pytest

from darkroom.artifacts.data_root import (
    find_records,
    plan_sweep,
    records_folder,
    records_stand,
)
from darkroom.artifacts.manifest import write_manifest


def write(root: Path, artifact: Path, kind: str = "examples", age: float = 0) -> str:
    artifact.mkdir(parents=True, exist_ok=True)
    with records_folder(str(root), kind, artifact) as folder:
        (Path(folder) / "train-00000-of-00001.tfrecord").write_bytes(bytes(100))
        write_manifest(artifact, kind, {"records": folder})
    for file in Path(folder).iterdir():
        os.utime(file, (time.time() - age,) * 2)
    return folder


def test_records_are_beside_their_manifest_where_there_is_no_data_root(tmp_path: Path) -> None:
    with records_folder(None, "examples", tmp_path) as folder:
        assert folder == str(tmp_path)


def test_records_that_were_swept_do_not_stand(tmp_path: Path) -> None:
    artifact = tmp_path / "a"
    folder = write(tmp_path / "root", artifact)
    assert records_stand(artifact)
    shutil.rmtree(folder)
    assert not records_stand(artifact)
    assert records_stand(tmp_path / "none")


def test_a_step_that_fails_leaves_no_records(tmp_path: Path) -> None:
    def fail() -> None:
        with records_folder(str(tmp_path / "root"), "examples", tmp_path) as folder:
            (Path(folder) / "train-00000-of-00001.tfrecord").write_bytes(bytes(100))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((tmp_path / "root").iterdir()) == []


def test_old_records_and_what_was_left_behind_are_swept(tmp_path: Path) -> None:
    root = tmp_path / "root"
    written = [write(root, tmp_path / "a", age=age) for age in (10, 90_000, 90_001)]
    other = write(root, tmp_path / "b", "transformed_examples", age=90_002)
    old = [f"examples-{'a' * 32}", f"darkroom-{'b' * 32}/work"]
    for name, age in (
        (f"examples-{'c' * 32}", 60),
        (old[0], 90_003),
        (old[1], 90_004),
        ("flower-photographs", 99_999),
        ("models-old", 99_999),
    ):
        (root / name).mkdir(parents=True)
        (root / name / "train.tfrecord").write_bytes(bytes(7))
        os.utime(root / name / "train.tfrecord", (time.time() - age,) * 2)
    left_behind = [str(root / name.removesuffix("/work")) for name in old]
    assert [folder.location for folder in find_records(str(root)) if folder.complete] == [
        *written,
        other,
    ]
    gone = [folder.location for folder in plan_sweep(str(root), 2)]
    assert gone == [written[2], *left_behind]
    assert [folder.location for folder in plan_sweep(str(root), 0)] == [
        *written[1:],
        other,
        *left_behind,
    ]
