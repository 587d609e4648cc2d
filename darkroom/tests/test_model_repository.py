"""What a version is: one rule for push, serve, rollback, lineage and the cache."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.artifacts import model_repository as repository
from darkroom.errors import StepError


def save(folder: Path, *names: str, complete: bool = True) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        if complete:
            (folder / name / "saved_model.pb").write_bytes(b"graph")


def numbers(versions: list[repository.Version]) -> list[int]:
    return [version.number for version in versions]


def test_a_half_copied_version_is_none(tmp_path: Path) -> None:
    """A rollback once "withdrew" the half-copied 3, and said that 2 served, as it had all along."""
    save(tmp_path, "1", "2")
    save(tmp_path, "3", complete=False)
    assert numbers(repository.find_versions(tmp_path)) == [2, 1]
    assert numbers(repository.find_incomplete(tmp_path)) == [3]
    current = repository.serving_version(tmp_path)
    assert current is not None
    assert current.number == 2
    rolled_back, serving = repository.roll_back(tmp_path)
    assert (numbers(rolled_back), serving.number) == ([2], 1)
    assert numbers(repository.find_versions(tmp_path)) == [1]
    assert repository.next_number(tmp_path) == 4


def test_a_number_is_never_used_again(tmp_path: Path) -> None:
    assert repository.next_number(tmp_path / "none") == 1
    save(tmp_path, "1", "2")
    repository.roll_back(tmp_path)
    assert repository.next_number(tmp_path) == 3
    save(tmp_path, "1700000000", complete=False)
    assert repository.next_number(tmp_path) == 1_700_000_001


@pytest.mark.parametrize("names", [(), ("1",)])
def test_without_a_version_before_there_is_no_rollback(tmp_path: Path, names: list[str]) -> None:
    save(tmp_path, *names)
    save(tmp_path, "7", complete=False)
    with pytest.raises(StepError, match="complete version: none to go back to"):
        repository.roll_back(tmp_path)
    assert len(repository.find_versions(tmp_path)) == len(names)


def test_of_two_names_of_one_number_one_counts(tmp_path: Path) -> None:
    save(tmp_path, "07", "7", "007")
    (version,) = repository.find_versions(tmp_path)
    assert version.folder.name == "7"


@given(st.text(max_size=20))
def test_only_digits_of_an_int64_name_a_version(name: str) -> None:
    expected = name.isascii() and name.isdigit() and len(name) <= 18
    assert repository.is_version_name(name) == expected


@pytest.mark.parametrize("name", ["٣", "-1", "+1", "1.0", " 1", "1_0", "9" * 19, ""])
def test_what_only_looks_like_a_number_is_no_version(tmp_path: Path, name: str) -> None:
    assert not repository.is_version_name(name)


def test_a_file_is_no_version(tmp_path: Path) -> None:
    (tmp_path / "3").touch()
    assert repository.find_versions(tmp_path) == repository.find_incomplete(tmp_path) == []


def test_names_of_rolled_back_versions(tmp_path: Path) -> None:
    save(
        tmp_path, "1", ".withdrawn-8", ".rolled-back-x", ".rolled-back-007"
    )  # by an earlier release
    assert repository.next_number(tmp_path) == 9
    (tmp_path / "12").touch()
    assert repository.next_number(tmp_path) == 13
    save(tmp_path, "9" * 18)
    with pytest.raises(StepError, match="the highest number that a version can have"):
        repository.next_number(tmp_path)


def test_a_rollback_takes_every_folder_of_the_number(tmp_path: Path) -> None:
    save(tmp_path, "1", "2", "02")
    rolled_back, serving = repository.roll_back(tmp_path)
    assert [version.folder for version in rolled_back] == [tmp_path / ".rolled-back-2"]
    assert (tmp_path / ".rolled-back-2" / "saved_model.pb").is_file()
    assert serving.number == 1
    assert numbers(repository.find_versions(tmp_path)) == [1]


def test_a_complete_folder_counts_before_a_shorter_name(tmp_path: Path) -> None:
    save(tmp_path, "07")
    save(tmp_path, "7", complete=False)
    assert [version.folder.name for version in repository.find_versions(tmp_path)] == ["07"]


def test_a_folder_that_cannot_be_renamed_is_one_line(tmp_path: Path) -> None:
    save(tmp_path, "1", "2", ".rolled-back-2")
    with pytest.raises(StepError, match=r"cannot rename in .*: Directory not empty"):
        repository.roll_back(tmp_path)
    assert numbers(repository.find_versions(tmp_path)) == [2, 1]
