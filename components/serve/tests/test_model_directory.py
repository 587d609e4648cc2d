"""Where models are served from: buckets too; and only files that are as they were pushed."""

import json
import shutil
from pathlib import Path

import pytest

from components.serve.versions.follower import VersionFollower
from components.serve.versions.model_directory import (
    LocalFiles,
    check_model_directory,
    find_versions,
    model_name,
)
from darkroom.artifacts.proof import file_digests
from darkroom.artifacts.push_log import Entry, PushLog
from darkroom.errors import SettingsError, StepError
from darkroom.storage.folders import move_folder, upload_folder
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3
from darkroom.tests.signing_keys import make_keys

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("scheme", "store"), [("gs", fake_cloud_storage), ("s3", fake_s3)])
def test_versions_in_a_bucket_are_followed(
    scheme: str, store: object, model: Path, next_model: Path
) -> None:
    with store():  # type: ignore[operator]
        place = f"{scheme}://bucket/models/flowers"
        with pytest.raises(SettingsError, match="flowers holds no model"):
            check_model_directory(place)
        upload_folder(model, f"{place}/3", ("saved_model.pb",))
        check_model_directory(place)
        assert model_name(place) == "flowers"
        follower = VersionFollower(place, "flowers")
        follower.refresh()
        assert follower.current is not None
        assert follower.current.version.number == 3
        copy = follower.current.files.folder
        assert (copy / "saved_model.pb").is_file()

        upload_folder(next_model, f"{place}/.canary-4", ("saved_model.pb",))
        PushLog(place).append(Entry("canary", 4, 3, canary=4, traffic=30))
        follower.refresh()
        assert follower.canary is not None
        assert (follower.canary.version.number, follower.share) == (4, 30)
        move_folder(f"{place}/.canary-4", f"{place}/4", ("saved_model.pb",))
        loaded = follower.canary.saved_model
        follower.refresh()
        assert follower.current.version.number == 4
        assert follower.current.saved_model is loaded  # it is not read again
        assert follower.canary is None
        assert not copy.exists()


def test_a_bucket_that_is_not_there_is_one_line() -> None:
    with (
        fake_cloud_storage(),
        pytest.raises(StepError, match=r"cannot (read|list) gs://missing/flowers"),
    ):
        check_model_directory("gs://missing/flowers")


def pushed(model: Path, folder: Path) -> Path:
    version = folder / "served" / "1"
    shutil.copytree(model, version)
    (version / "proof").mkdir()
    (version / "proof" / "digests.json").write_text(json.dumps(file_digests(version)))
    return version


def test_files_that_have_changed_since_the_push_are_not_loaded(model: Path, tmp_path: Path) -> None:
    version = pushed(model, tmp_path)
    follower = VersionFollower(version.parent, "flowers")
    follower.refresh()
    assert follower.current is not None
    variables = next((version / "variables").glob("*.data*"))
    variables.write_bytes(variables.read_bytes()[:-1] + b"x")
    follower = VersionFollower(version.parent, "flowers")
    follower.refresh()
    assert follower.current is None
    assert "has changed since the version was pushed" in follower.errors[1]


def test_without_the_signature_that_is_asked_for_nothing_is_loaded(
    model: Path, tmp_path: Path
) -> None:
    version = pushed(model, tmp_path)
    (found,) = find_versions(version.parent)
    public_key = str(make_keys(tmp_path / "keys")[1])
    with pytest.raises(StepError, match="is not signed"):
        LocalFiles(found).check(public_key)
    follower = VersionFollower(version.parent, "flowers", public_key)
    follower.refresh()
    assert follower.current is None
    assert "is not signed" in follower.errors[1]
