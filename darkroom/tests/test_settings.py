"""Every settings error is one line that names the key, and the nearest valid one."""

from pathlib import Path

import pytest

from darkroom.errors import SettingsError
from darkroom.settings import Settings, read_yaml, validate_settings


class Inner(Settings):
    epochs: int = 1


class Outer(Settings):
    data: str
    inner: Inner = Inner()
    size: int | tuple[int, int] = 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "setting 'data' is missing"),
        ({"data": "x", "iner": {}}, "unknown setting 'iner'; did you mean 'inner'?"),
        (
            {"data": "x", "inner": {"epoch": 2}},
            "unknown setting 'inner.epoch'; did you mean 'epochs'?",
        ),
        ({"data": "x", "zzz": 1}, "unknown setting 'zzz'; valid: data, inner, size"),
    ],
)
def test_the_key_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        validate_settings(Outer, values)
    assert str(raised.value) == message


def test_a_wrong_value_is_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        validate_settings(Outer, {"data": "x", "inner": {"epochs": "many"}}, "train")
    assert str(raised.value).startswith("setting 'train.inner.epochs': ")
    assert "'many'" in str(raised.value)
    with pytest.raises(SettingsError, match=r"^setting 'size': "):
        validate_settings(Outer, {"data": "x", "size": "large"})


def test_settings_come_from_files_and_inline(tmp_path: Path) -> None:
    yaml = tmp_path / "a.yaml"
    yaml.write_text("epochs: 3\n")
    (tmp_path / "a.json").write_text('{"epochs": 3}')
    assert (
        read_yaml(str(yaml))
        == read_yaml(str(tmp_path / "a.json"))
        == read_yaml('{"epochs": 3}')
        == {"epochs": 3}
    )
    yaml.write_text("")
    assert read_yaml(str(yaml)) == {}


@pytest.mark.parametrize("content", ["a: [1\n", "- a list\n", '{"a": '])
def test_files_that_hold_no_settings(tmp_path: Path, content: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError) as raised:
        read_yaml(str(file))
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.yaml: No such file"):
        read_yaml(str(tmp_path / "nothing.yaml"))
