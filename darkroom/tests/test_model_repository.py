"""Which folders of a model repository are versions, and which of them serves."""

from pathlib import Path

import pytest

from darkroom.artifacts.model_repository import (
    LARGEST_NUMBER,
    incomplete_versions,
    list_versions,
    next_number,
    roll_back,
    serving_version,
    version_number,
)
from darkroom.errors import SettingsError, StepError


def add_versions(repository: Path, *names: str) -> None:
    for name in names:
        (repository / name).mkdir(parents=True)
        (repository / name / "saved_model.pb").touch()


def numbers(repository: Path) -> list[int]:
    return [version.number for version in list_versions(repository)]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("0", 0),
        ("01", 1),
        ("007", 7),
        (str(LARGEST_NUMBER), LARGEST_NUMBER),
        (str(LARGEST_NUMBER + 1), None),
        ("0" * 5000 + "7", 7),
        ("9" * 5000, None),
        ("٣", None),
        ("²", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1e2", None),
        ("1_0", None),
        ("v1", None),
        (".1", None),
        ("", None),
    ],
)
def test_a_version_is_named_by_ascii_digits_of_a_64_bit_integer(
    name: str, number: int | None
) -> None:
    assert version_number(name) == number


def test_only_folders_with_a_complete_model_are_versions(tmp_path: Path) -> None:
    add_versions(tmp_path, "2", "10", "9", "007", "v11", ".12", "٣")
    (tmp_path / "13" / "variables").mkdir(parents=True)
    (tmp_path / "14").touch()
    assert numbers(tmp_path) == [2, 7, 9, 10]
    version = serving_version(tmp_path)
    assert version is not None
    assert version.folder == tmp_path / "10"
    assert incomplete_versions(tmp_path) == [tmp_path / "13"]
    assert next_number(tmp_path) == 15


def test_a_repository_without_versions(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for repository in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        assert numbers(repository) == []
        assert serving_version(repository) is None
        assert next_number(repository) == 1


def test_a_rollback_takes_the_highest_complete_version_away(tmp_path: Path) -> None:
    add_versions(tmp_path, "1", "2")
    (tmp_path / "3").mkdir()
    rolled_back, serving = roll_back(tmp_path)
    assert (rolled_back.number, serving.number) == (2, 1)
    assert (rolled_back.folder / "saved_model.pb").exists()
    assert numbers(tmp_path) == [1]
    assert (tmp_path / "3").is_dir()
    with pytest.raises(StepError, match=r"has 1 version\(s\): none to go back to"):
        roll_back(tmp_path)
    with pytest.raises(SettingsError, match="missing does not exist"):
        roll_back(tmp_path / "missing")


def test_a_number_is_never_used_again(tmp_path: Path) -> None:
    add_versions(tmp_path, "1", "2", "3")
    roll_back(tmp_path)
    assert next_number(tmp_path) == 4
    (tmp_path / "6").mkdir()
    assert next_number(tmp_path) == 7
    add_versions(tmp_path, ".withdrawn-8")  # by an earlier release
    assert next_number(tmp_path) == 9
    add_versions(tmp_path, str(LARGEST_NUMBER))
    with pytest.raises(StepError, match="the highest that there can be"):
        next_number(tmp_path)


def test_two_folders_of_one_number_are_one_version(tmp_path: Path) -> None:
    add_versions(tmp_path, "1", "2", "02")
    assert [version.folder.name for version in list_versions(tmp_path)] == ["1", "2"]
    roll_back(tmp_path)
    assert numbers(tmp_path) == [1]
