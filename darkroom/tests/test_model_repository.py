"""What a version is: one rule for push, serve, rollback, lineage and the cache."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.artifacts import model_repository as repository


def save(folder: Path, *names: str, complete: bool = True) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        if complete:
            (folder / name / "saved_model.pb").write_bytes(b"graph")


def numbers(versions: list[repository.Version]) -> list[int]:
    return [version.number for version in versions]


def test_of_two_names_of_one_number_one_counts(tmp_path: Path) -> None:
    save(tmp_path, "07", "7", "007")
    (version,) = repository.find_versions(tmp_path)
    assert version.name == "7"


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


def test_a_complete_folder_counts_before_a_shorter_name(tmp_path: Path) -> None:
    save(tmp_path, "07")
    save(tmp_path, "7", complete=False)
    assert [version.name for version in repository.find_versions(tmp_path)] == ["07"]


@pytest.mark.parametrize("role", repository.Role)
def test_a_folders_name_says_its_number_and_role(role: repository.Role) -> None:
    name = repository.folder_name(7, role)
    assert repository.parsed_name(name) == (7, role)
    assert repository.is_version_name(name) == (role is repository.Role.SERVED)


@pytest.mark.parametrize("name", [".canary-", ".canary-x", "canary-7", ".-7", ".other-7", "7."])
def test_other_names_are_of_no_version(name: str) -> None:
    assert repository.parsed_name(name) is None
