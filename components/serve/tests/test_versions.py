"""Which version serves, as versions are pushed, rolled back, and broken."""

import concurrent.futures
import gc
import shutil
import weakref
from pathlib import Path

import pytest

from components.serve.tests.server_process import push
from components.serve.tests.small_model import b64, photograph
from components.serve.versions import follower
from components.serve.versions.follower import VersionFollower
from components.serve.versions.loaded_model import LoadedModel
from components.serve.versions.model_directory import (
    LocalFiles,
    check_model_directory,
    find_versions,
    model_name,
)
from darkroom.artifacts.model_repository import Version
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow

IMAGE = {"instances": [b64(photograph(5))]}


def save_empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    return folder


def test_versions_are_numbered_folders_that_hold_a_saved_model(tmp_path):
    for name in ("2", "10", "9", "007"):
        save_empty(tmp_path / name)
    for name in ("v11", "12.partial", ".13", "-14", "1e2", "²"):
        save_empty(tmp_path / name)
    (tmp_path / "15").mkdir()
    (tmp_path / "16").touch()
    assert [version.number for version in find_versions(tmp_path)] == [10, 9, 7, 2]


def test_a_saved_model_directory_is_version_1(tmp_path):
    (version,) = find_versions(save_empty(tmp_path / "model"))
    assert (version.number, version.folder) == (1, tmp_path / "model")
    (version,) = find_versions(save_empty(tmp_path / "flowers" / "8"))
    assert version.number == 8


def test_directories_that_cannot_be_served(tmp_path):
    with pytest.raises(SettingsError, match="missing does not exist"):
        check_model_directory(tmp_path / "missing")
    (tmp_path / "1").mkdir()
    with pytest.raises(SettingsError, match=r"holds no model: saved_model\.pb must be in it"):
        check_model_directory(tmp_path)


def test_the_name_is_the_directory_s(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_name(Path("/models/flowers/")) == "flowers"
    assert model_name(Path("/models/flowers/12")) == "flowers"
    assert model_name(Path()) == tmp_path.name
    assert model_name(Path("/")) == "model"


@pytest.fixture
def pushed(server, base_dir, next_model):
    """Version 4, of another model, pushed while the server runs."""
    push(next_model, base_dir / "4")
    try:
        server.wait_until(lambda: server.serving() == "4")
        yield
    finally:
        shutil.rmtree(base_dir / "4", ignore_errors=True)
        server.wait_until(lambda: server.serving() == "3")


def test_a_push_and_a_rollback_are_picked_up(server, base_dir, next_model, request):
    before = server.predict(IMAGE).json()
    request.getfixturevalue("pushed")
    after = server.predict(IMAGE).json()
    assert after != before
    assert server.predict(IMAGE, "/versions/3").status_code == 404
    shutil.rmtree(base_dir / "4")
    server.wait_until(lambda: server.serving() == "3")
    assert server.predict(IMAGE).json() == before


def test_a_request_finishes_on_the_version_it_began_on(server, base_dir, next_model, request):
    with concurrent.futures.ThreadPoolExecutor() as threads:
        busy = {"signature_name": "busy", "instances": [500]}
        slow = threads.submit(server.predict, busy, "/versions/3")
        server.wait_until(lambda: slow.running())
        request.getfixturevalue("pushed")
        assert not slow.done()
    assert slow.result().json() == {"predictions": [{"rounds": 500, "total": 64.0}]}


def test_a_broken_push_leaves_the_old_version_serving(server, base_dir):
    broken = base_dir / "5"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no saved model")
    try:
        server.wait_until(lambda: "version 5 cannot be loaded" in server.log.read_text())
        assert server.serving() == "3"
        assert server.predict(IMAGE).status_code == 200
        response = server.get("/versions/5")
        assert response.status_code == 503
        (state,) = response.json()["model_version_status"]
        assert state["state"] == "END"
        assert "Cannot parse file" in state["status"]["error_message"]
    finally:
        shutil.rmtree(broken)
    line = next(line for line in server.log.read_text().splitlines() if "version 5" in line)
    assert line.startswith("[serve] warning: flowers version 5 cannot be loaded: ")
    assert line.endswith("; version 3 keeps serving")


def test_a_broken_version_is_tried_again_once_its_files_change(model, tmp_path):
    version = tmp_path / "1"
    shutil.copytree(model, version, ignore=shutil.ignore_patterns("variables"))
    follower = VersionFollower(tmp_path, "flowers")
    follower.refresh()
    assert follower.current is None
    assert follower.errors.keys() == {1}
    shutil.copytree(model / "variables", version / "variables")
    follower.refresh()
    assert follower.current is not None
    assert follower.current.version.number == 1
    assert follower.errors == {}


def test_a_canary_that_was_half_copied_has_one_state_once_it_is_whole(model, tmp_path):
    push(model, tmp_path / "1")
    canary = tmp_path / ".canary-2"
    shutil.copytree(model, canary, ignore=shutil.ignore_patterns("variables"))
    follower = VersionFollower(tmp_path, "flowers")
    follower.refresh()
    assert follower.errors.keys() == {2}
    shutil.copytree(model / "variables", canary / "variables")
    follower.refresh()
    assert follower.canary is not None
    assert follower.errors == {}


def test_the_highest_version_that_loads_serves_from_the_start(model, tmp_path, caplog):
    push(model, tmp_path / "1")
    save_empty(tmp_path / "2")
    follower = VersionFollower(tmp_path, "flowers")
    follower.refresh()
    assert follower.current is not None
    assert follower.current.version.number == 1
    current = follower.current
    follower.refresh()
    assert follower.current is current
    shutil.rmtree(tmp_path / "1")
    shutil.rmtree(tmp_path / "2")
    follower.refresh()
    assert follower.current is current


def test_a_model_that_cannot_classify_an_image_is_not_taken(tmp_path):
    import tensorflow as tf

    class Broken(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes):
            return {"label": tf.strings.to_number(image_bytes)}

    module = Broken()
    tf.saved_model.save(module, tmp_path / "1", {"serving_default": module.serve})
    follower = VersionFollower(tmp_path, "flowers")
    follower.refresh()
    assert follower.current is None
    assert follower.errors[1].startswith("StringToNumberOp could not correctly convert string")


class Cycle:
    """As a SavedModel, it is freed by the collector of cycles alone."""

    def __init__(self) -> None:
        self.itself = self


def test_a_canary_is_freed_once_another_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(version: Version, _key: str | None) -> LoadedModel:
        return LoadedModel(version, {}, {}, (), Cycle(), LocalFiles(version))

    monkeypatch.setattr(follower, "load_model", load)
    for name in ("1", ".canary-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_text("graph")
    following = VersionFollower(tmp_path, "flowers")
    following.refresh()
    assert following.canary is not None
    first = weakref.ref(following.canary.saved_model)
    shutil.copytree(tmp_path / ".canary-2", tmp_path / ".canary-3")
    gc.disable()  # only what the follower does itself counts
    try:
        following.refresh()
        assert following.canary.version.number == 3
        assert first() is None
    finally:
        gc.enable()
