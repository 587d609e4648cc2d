"""Targets are found by themselves, and chosen by the form of a destination."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from components.push import targets
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.repository import RepositoryTarget
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import Model, read_model
from darkroom.errors import SettingsError, StepError
from darkroom.settings import validate_settings
from darkroom.tests.cloud_storage import fake_cloud_storage

SHELF = """
class Shelf:
    FORM = "shelf://ROOM"
    def __init__(self, destination):
        self.destination = destination
    @classmethod
    def accepts(cls, destination):
        return destination.startswith("shelf://")

TARGET = Shelf
"""


def make_model(folder: Path, content: str, **manifest: Any) -> Model:
    folder.mkdir()
    (folder / "saved_model.pb").write_text(content)
    write_manifest(folder, "model", {"labels": ["a", "b"], **manifest})
    return read_model(folder)


def test_a_new_target_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shelf.py").write_text(SHELF)
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(tmp_path)])
    try:
        assert type(target_for("shelf://attic")).__name__ == "Shelf"
        assert isinstance(target_for("served/flowers"), RepositoryTarget)
        settings = validate_settings(PushSettings, {"destination": "shelf://attic"}, "push")
        assert settings.destination == "shelf://attic"
        message = (
            "setting 'push.destination': no push target takes 'shelff://attic', expected a folder "
            "of archives, such as archive://releases/flowers or a KServe InferenceService, such as "
            "kserve://NAMESPACE/NAME?storage=gs://my-bucket/served/flowers or a folder or bucket, "
            "such as served/flowers or gs://my-bucket/served/flowers or shelf://ROOM or "
            "vertex://PROJECT/LOCATION/NAME?storage=gs://my-bucket/served/flowers; "
            "did you mean 'shelf://'? (got 'shelff://attic')"
        )
        with pytest.raises(SettingsError) as caught:
            validate_settings(PushSettings, {"destination": "shelff://attic"}, "push")
        assert str(caught.value) == message
    finally:
        sys.modules.pop("components.push.targets.shelf", None)


@pytest.mark.parametrize("destination", ["https://host/served", "ftp://host/served"])
def test_a_uri_of_no_store_is_no_folder(destination: str) -> None:
    with pytest.raises(SettingsError, match=r"'push\.destination': no push target takes '"):
        validate_settings(PushSettings, {"destination": destination}, "push")


def test_a_folder_target(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = target_for(str(tmp_path / "served"))
    assert (target.current(), list(target.versions()), target.traffic()) == (None, [], {})
    first, second = (
        make_model(tmp_path / "a", "a", pushed={"by": "me"}),
        make_model(tmp_path / "b", "b"),
    )
    assert target.publish(first).number == 1
    published = target.publish(second)
    assert published.location == str(tmp_path / "served" / "2")
    assert target.publish(second) == published == target.current()
    assert target.traffic() == {2: 100}
    half_copied = tmp_path / "served" / "3"
    half_copied.mkdir()
    with caplog.at_level(logging.WARNING):
        entry = target.rollback()
    assert caplog.messages == [f"{half_copied} holds no complete model and is ignored"]
    (gone,) = target.rolled_back()
    assert (gone.number, gone.digest) == (2, second.manifest["digest"])
    assert (entry.rolled_back, entry.serving) == ([2], 1)
    serving = target.current()
    assert serving is not None
    assert (serving.number, serving.digest) == (1, first.manifest["digest"])
    assert serving.manifest["pushed"] == {"by": "me"}
    assert [version.number for version in target.versions()] == [1]
    with pytest.raises(StepError, match="none to go back to"):
        target.rollback()
    assert target.publish(second).number == 4


def test_a_version_of_another_program_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "5" / "manifest.json").write_text(json.dumps({"kind": "other"}))
    current = RepositoryTarget(str(tmp_path)).current()
    assert current is not None
    assert (current.number, current.digest) == (5, None)
    assert RepositoryTarget(str(tmp_path)).publish(make_model(tmp_path / "a", "a")).number == 6


def test_a_canary_that_is_pushed_again_gets_the_share_that_is_asked_for(tmp_path: Path) -> None:
    target = target_for(str(tmp_path / "served"))
    target.publish(make_model(tmp_path / "a", "a"))
    model = make_model(tmp_path / "b", "b")
    assert target.publish(model, 10).number == 2
    assert target.publish(model, 10).number == 2
    assert target.traffic() == {1: 90, 2: 10}
    assert target.publish(model, 30).location.endswith("/.canary-2")
    assert target.traffic() == {1: 70, 2: 30}
    published = target.publish(model)
    assert (published, target.traffic()) == (target.current(), {2: 100})
    assert [entry.action for entry in target.log()] == ["push", "canary", "traffic", "promote"]


def test_a_version_is_no_destination(tmp_path: Path) -> None:
    target_for(str(tmp_path / "served")).publish(make_model(tmp_path / "a", "a"))
    inside = target_for(str(tmp_path / "served" / "1"))
    with pytest.raises(SettingsError, match="served/1 is a model itself: name the folder above"):
        inside.publish(make_model(tmp_path / "b", "b"))
    with pytest.raises(SettingsError, match="is a model itself"):
        inside.rollback()


@pytest.mark.slow
def test_a_bucket_may_be_written_with_a_slash_at_its_end(tmp_path: Path) -> None:
    with fake_cloud_storage():
        target = target_for("gs://bucket/served/")
        target.publish(make_model(tmp_path / "a", "a"))
        current = target.current()
        assert current is not None
        assert current.location == "gs://bucket/served/1"
