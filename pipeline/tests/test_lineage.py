"""A model's folder alone leads back to its photographs."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components.push.targets.repository import RepositoryTarget
from components.serve.versions.model_directory import find_versions
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.artifacts.model import Model, read_model
from darkroom.artifacts.provenance import COMMIT_VARIABLE, IMAGE_VARIABLE, RUN_VARIABLE, making
from darkroom.errors import StepError
from pipeline.cli.main import application
from pipeline.lineage import lineage_tree, read_lineage

COMMIT = "0123456789abcdef"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model made of examples that were made of photographs, each by a step of its own."""
    monkeypatch.setenv(RUN_VARIABLE, "flowers-1")
    monkeypatch.setenv(COMMIT_VARIABLE, f"{COMMIT}-changed")
    monkeypatch.setenv(IMAGE_VARIABLE, "darkroom-train@sha256:abc")
    weights = tmp_path / "weights.h5"
    weights.write_text("weights")
    examples, folder = tmp_path / "run" / "examples", tmp_path / "run" / "model"
    with (
        making("ingest", "components.ingest.ingest", {}, {}, {}),
        atomic_artifact(examples) as temporary,
    ):
        (temporary / "train-0.tfrecord").write_text("photographs")
        (temporary / "index.json").write_text("1")
        write_manifest(temporary, "examples", {"data": "flowers/", "digest": "d1", "counts": {}})
    settings = {"settings": {"epochs": 3, "weights": str(weights)}}
    with (
        making("train", "components.train.train", {"examples": examples}, {}, settings),
        atomic_artifact(folder) as temporary,
    ):
        (temporary / "saved_model.pb").write_text("model")
        write_manifest(temporary, "model", {"labels": ["a", "b"], "settings": {"epochs": 3}})
    return folder


def with_record(folder: Path, record: dict[str, Any]) -> Model:
    """A model with what push says of it in its manifest."""
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"pushed": record}))
    return read_model(folder)


@pytest.mark.slow
def test_a_served_model_moved_away_still_says_all(model: Path, tmp_path: Path) -> None:
    record = {
        "evaluation": {"metrics": {"accuracy": 0.9}, "settings": {}},
        "provenance": read_lineage(model)["provenance"],
    }
    RepositoryTarget(str(tmp_path / "served")).publish(with_record(model, record))
    moved = tmp_path / "another machine"
    shutil.move(tmp_path / "served", moved)
    shutil.rmtree(tmp_path / "run")
    lineage = read_lineage(moved)
    assert lineage["intact"] is True
    assert lineage["folder"] == str(moved / "1")
    made = lineage["provenance"]
    assert (made["step"], made["run"]) == ("train", "flowers-1")
    assert made["image"] == "darkroom-train@sha256:abc"
    assert made["code"]["commit"] == COMMIT
    assert made["code"]["changed"] is True
    assert set(made["files"]) == {"settings.weights"}
    source = made["inputs"]["examples"]
    assert (source["data"], source["digest"]) == ("flowers/", "d1")
    assert source["provenance"]["step"] == "ingest"
    assert source["provenance"]["code"]["source"] != made["code"]["source"]

    console = Console(width=200, record=True)
    console.print(lineage_tree(lineage))
    shown = console.export_text()
    for part in ("flowers-1", "commit 0123456789ab with changes", "data: flowers/", "epochs 3"):
        assert part in shown
    assert "accuracy 0.9" in shown
    assert "CHANGED" not in shown


def test_a_model_changed_since_is_told(model: Path) -> None:
    (model / "saved_model.pb").write_text("another model")
    lineage = read_lineage(model)
    assert lineage["intact"] is False
    console = Console(width=200, record=True)
    console.print(lineage_tree(lineage))
    assert "CHANGED" in console.export_text()


def test_what_has_no_lineage_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="is no folder"):
        read_lineage(tmp_path / "none")
    with pytest.raises(StepError, match=r"has no manifest\.json: give a model's folder"):
        read_lineage(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(StepError, match="cannot read"):
        read_lineage(tmp_path)


def test_a_model_of_a_release_without_lineage_is_shown(tmp_path: Path) -> None:
    with atomic_artifact(tmp_path / "model") as temporary:
        write_manifest(temporary, "model", {"labels": []})
    console = Console(width=200, record=True)
    console.print(lineage_tree(read_lineage(tmp_path / "model")))
    assert "did not say how" in console.export_text()


def test_a_half_copied_version_is_not_what_serves(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Push, rollback, the server and lineage agree on which version serves."""
    destination = tmp_path / "served"
    target = RepositoryTarget(str(destination))
    record: dict[str, Any] = {"evaluation": {"metrics": {}, "settings": {}}, "provenance": {}}
    target.publish(with_record(model, record))
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "saved_model.pb").write_text("newer")
    write_manifest(tmp_path / "newer", "model", {"labels": ["a", "b"]})
    target.publish(with_record(tmp_path / "newer", record))
    shutil.copytree(destination / "2", destination / "3")
    (destination / "3" / "saved_model.pb").unlink()

    def serving() -> list[str]:
        seen = [find_versions(destination)[0].folder, Path(read_lineage(destination)["folder"])]
        return [folder.name for folder in seen]

    assert serving() == ["2", "2"]
    monkeypatch.setattr("pipeline.cli.versions.configure_logging", lambda: None)
    result = CliRunner().invoke(application, ["rollback", str(destination)])
    assert result.output == "version 2 rolled back; version 1 serves\n"
    assert serving() == ["1", "1"]
    assert target.publish(with_record(tmp_path / "newer", record)).number == 4
    assert serving() == ["4", "4"]


def test_versions_say_what_each_was_blessed_against(model: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "served")
    target = RepositoryTarget(place)
    for champion in (None, f"version 1 of {place}", "models/old"):
        record = {"evaluation": {"blessed": True, "champion": champion, "metrics": {"accuracy": 1}}}
        (model / "saved_model.pb").write_text(f"better than {champion}")
        write_manifest(model, "model", {"labels": ["a", "b"]})
        target.publish(with_record(model, record))
    result = CliRunner().invoke(application, ["versions", place])
    head, *rows = result.output.splitlines()
    place_of = head.index("verdict")
    assert [row[place_of : head.index("run")].strip() for row in rows] == [
        *("blessed against models/old", "blessed against version 1", "blessed")
    ]
    told = json.loads(CliRunner().invoke(application, ["versions", place, "--json"]).output)
    assert told["versions"][1]["verdict"] == {"blessed": True, "champion": f"version 1 of {place}"}
