"""The champion step takes what serves, so that evaluate can compare with it."""

from pathlib import Path

import pytest

from components.push.champion import champion
from components.push.settings import PushSettings
from components.push.tests.conftest import Candidate
from components.push.tests.test_push import another, rolled_back, run_push
from darkroom.artifacts.champion import Champion, read_champion
from darkroom.artifacts.manifest import artifact_digest, folder_digest

pytestmark = pytest.mark.slow


def found(candidate: Candidate, destination: Path | None, out: Path) -> Champion | None:
    settings = PushSettings(destination=None if destination is None else str(destination))
    champion(candidate.model, settings, champion=out)
    return read_champion(out)


def test_the_first_model_has_none(candidate: Candidate, tmp_path: Path) -> None:
    assert found(candidate, None, tmp_path / "a") is None
    assert found(candidate, tmp_path / "served", tmp_path / "b") is None


def test_it_is_what_serves_now(candidate: Candidate, tmp_path: Path) -> None:
    served = tmp_path / "served"
    run_push(candidate, served, tmp_path)
    second = another(candidate, tmp_path / "second", sharpness=2.0)
    third = another(candidate, tmp_path / "third", sharpness=3.0)
    first = found(second, served, tmp_path / "a")
    assert first is not None
    assert first.name == f"version 1 of {served}"
    assert folder_digest(first.folder) == folder_digest(candidate.model)
    run_push(second, served, tmp_path)
    now = found(third, served, tmp_path / "b")
    assert now is not None
    assert now.name == f"version 2 of {served}"
    assert artifact_digest(tmp_path / "a") != artifact_digest(tmp_path / "b")
    rolled_back(served)
    again = found(third, served, tmp_path / "c")
    assert again is not None
    assert again.name == f"version 1 of {served}"


def test_a_model_that_serves_has_the_one_before_it(candidate: Candidate, tmp_path: Path) -> None:
    served = tmp_path / "served"
    run_push(candidate, served, tmp_path)
    assert found(candidate, served, tmp_path / "a") is None
    second = another(candidate, tmp_path / "second", sharpness=2.0)
    run_push(second, served, tmp_path)
    before = found(second, served, tmp_path / "b")
    assert before is not None
    assert before.name == f"version 1 of {served}"


def test_a_damaged_version_is_no_measure(candidate: Candidate, tmp_path: Path) -> None:
    served = tmp_path / "served"
    version = run_push(candidate, served, tmp_path)
    (file,) = version.glob("variables/variables.data*")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    second = another(candidate, tmp_path / "second", sharpness=2.0)
    champion_found = found(second, served, tmp_path / "a")
    assert champion_found is not None
    assert champion_found.problem == f"{version} is damaged: its files have changed"
    assert not champion_found.folder.exists()
