"""A push publishes all at once what was evaluated, or nothing."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.push.push import push
from components.push.settings import PushSettings
from components.push.targets.repository import RepositoryTarget
from components.push.tests.conftest import Candidate, save_evaluation, save_model
from darkroom.artifacts.manifest import folder_digest, read_manifest
from darkroom.errors import StepError

pytestmark = pytest.mark.slow


def served_versions(destination: Path) -> list[int]:
    return [version.number for version in RepositoryTarget(str(destination)).versions()]


def rolled_back(destination: Path) -> tuple[int, int]:
    entry = RepositoryTarget(str(destination)).rollback()
    [before] = entry.rolled_back
    return before, entry.serving


def run_push(candidate: Candidate, destination: Path, out: Path, **settings: Any) -> Path:
    version = push(
        *candidate.inputs,
        PushSettings(destination=str(destination), try_server=False, **settings),
        pushed=out / "pushed",
    )
    return Path(version)


def another(candidate: Candidate, folder: Path, **model: object) -> Candidate:
    """A candidate with another model, and its own evaluation of the same examples."""
    made = Candidate(candidate.examples, folder / "model", folder / "evaluation")
    save_model(made.model, **model)  # type: ignore[arg-type]
    save_evaluation(made.evaluation, made.model, made.examples)
    return made


def test_a_blessed_model_becomes_the_newest_version(candidate: Candidate, tmp_path: Path) -> None:
    destination = tmp_path / "served"
    version = run_push(candidate, destination, tmp_path)
    assert version == destination / "1"
    assert (version / "saved_model.pb").is_file()
    assert folder_digest(version) == folder_digest(candidate.model)
    assert read_manifest(tmp_path / "pushed", "pushed")["version"] == 1
    better = another(candidate, tmp_path, sharpness=2.0)
    assert run_push(better, destination, tmp_path).name == "2"
    assert sorted(path.name for path in destination.iterdir()) == ["1", "2", "push_log"]


def test_a_repeated_push_makes_no_new_version(candidate: Candidate, tmp_path: Path) -> None:
    destination = tmp_path / "served"
    assert run_push(candidate, destination, tmp_path).name == "1"
    assert run_push(candidate, destination, tmp_path).name == "1"
    assert served_versions(destination) == [1]


def test_a_rollback_serves_the_version_before_and_its_number_is_not_used_again(
    candidate: Candidate, tmp_path: Path
) -> None:
    destination = tmp_path / "served"
    run_push(candidate, destination, tmp_path)
    newer = another(candidate, tmp_path, sharpness=3.0)
    run_push(newer, destination, tmp_path)
    assert rolled_back(destination) == (2, 1)
    assert served_versions(destination) == [1]
    with pytest.raises(StepError, match="none to go back to"):
        rolled_back(destination)
    assert run_push(newer, destination, tmp_path, rolled_back="push").name == "3"


def test_what_was_rolled_back_is_not_pushed_again(candidate: Candidate, tmp_path: Path) -> None:
    """As a schedule would, whose data has not changed."""
    destination = tmp_path / "served"
    run_push(candidate, destination, tmp_path)
    newer = another(candidate, tmp_path, sharpness=3.0)
    run_push(newer, destination, tmp_path)
    rolled_back(destination)
    message = r"this is the model of version 2, which was rolled back: .* rollback --to 2"
    with pytest.raises(StepError, match=message):
        run_push(newer, destination, tmp_path)
    assert served_versions(destination) == [1]
    entry = RepositoryTarget(str(destination)).rollback(to=2)
    assert (entry.rolled_back, entry.serving) == ([], 2)
    assert run_push(newer, destination, tmp_path).name == "2"
    with pytest.raises(StepError, match="has no version 9; it has 2, 1"):
        RepositoryTarget(str(destination)).rollback(to=9)
    entry = RepositoryTarget(str(destination)).rollback(to=1)
    assert (entry.rolled_back, entry.serving) == ([2], 1)


def test_what_was_rolled_back_stays_so_once_it_is_removed(
    candidate: Candidate, tmp_path: Path
) -> None:
    destination = tmp_path / "served"
    run_push(candidate, destination, tmp_path)
    newer = another(candidate, tmp_path, sharpness=3.0)
    run_push(newer, destination, tmp_path)
    rolled_back(destination)
    RepositoryTarget(str(destination)).prune(1)
    assert not (destination / ".rolled-back-2").exists()
    with pytest.raises(StepError, match="the model of version 2, which was rolled back"):
        run_push(newer, destination, tmp_path)


def test_a_rollback_passes_by_what_is_no_model(candidate: Candidate, tmp_path: Path) -> None:
    destination = tmp_path / "served"
    run_push(candidate, destination, tmp_path)
    for sharpness in (3.0, 4.0):
        run_push(
            another(candidate, tmp_path / f"{sharpness}", sharpness=sharpness),
            destination,
            tmp_path,
        )
    (destination / "2" / "labels.txt").write_text("changed\n")
    entry = RepositoryTarget(str(destination)).rollback()
    assert (entry.rolled_back, entry.serving) == ([3, 2], 1)
    with pytest.raises(StepError, match=r"\.rolled-back-2 is damaged: it cannot serve"):
        RepositoryTarget(str(destination)).rollback(to=2)


def test_a_half_copied_version_is_none(candidate: Candidate, tmp_path: Path) -> None:
    destination = tmp_path / "served"
    run_push(candidate, destination, tmp_path)
    newer = another(candidate, tmp_path, sharpness=3.0)
    run_push(newer, destination, tmp_path)
    shutil.copytree(
        destination / "2", destination / "3", ignore=shutil.ignore_patterns("saved_model.pb")
    )
    assert run_push(newer, destination, tmp_path) == destination / "2"
    assert rolled_back(destination) == (2, 1)
    assert served_versions(destination) == [1]
    assert run_push(newer, destination, tmp_path, rolled_back="push") == destination / "4"


def test_versions_that_others_made_are_left_alone(candidate: Candidate, tmp_path: Path) -> None:
    destination = tmp_path / "served"
    (destination / "1700000000").mkdir(parents=True)
    (destination / "notes").mkdir()
    assert run_push(candidate, destination, tmp_path).name == "1700000001"


def test_refusals_leave_the_destination_as_it_was(candidate: Candidate, tmp_path: Path) -> None:
    destination = tmp_path / "served"

    def refused(made: Candidate, message: str) -> None:
        with pytest.raises(StepError, match=message):
            run_push(made, destination, tmp_path)
        assert not destination.exists()
        assert not (tmp_path / "pushed").exists()

    evaluation = tmp_path / "unblessed"
    save_evaluation(evaluation, candidate.model, candidate.examples, blessed=False)
    unblessed = dataclasses.replace(candidate, evaluation=evaluation)
    refused(unblessed, "not blessed: accuracy 0.4 is below 0.5")

    skewed = another(candidate, tmp_path / "skewed", skew=1e-3)
    refused(skewed, "signature 'with_key' differs from the evaluation .* training-serving skew")
    closed = another(candidate, tmp_path / "closed", without="embedding")
    refused(closed, "no signature 'embedding'")
    other = another(candidate, tmp_path / "other", sharpness=5.0)
    mixed = dataclasses.replace(candidate, evaluation=other.evaluation)
    refused(mixed, "evaluated another model")
    changed = tmp_path / "changed"
    shutil.copytree(candidate.model, changed)
    (changed / "labels.txt").write_text("light\ndark\n")
    refused(dataclasses.replace(candidate, model=changed), "changed after it was exported")


def test_a_model_gives_its_positive_label_from_the_threshold_on(
    candidate: Candidate, tmp_path: Path
) -> None:
    made = another(candidate, tmp_path / "made", sharpness=8.0, decision=0.5)
    assert run_push(made, tmp_path / "served", tmp_path).name == "1"
    other = another(candidate, tmp_path / "other", sharpness=8.0, decision=0.7)
    with pytest.raises(StepError, match=r"does not give 'light' from a probability of 0\.7 on"):
        run_push(other, tmp_path / "served", tmp_path)


def test_a_multi_label_model_gives_the_labels_that_its_thresholds_say(
    candidate: Candidate, tmp_path: Path
) -> None:
    destination = tmp_path / "served"
    made = another(candidate, tmp_path / "made", sharpness=8.0, thresholds=(0.5, 0.25))
    assert run_push(made, destination, tmp_path).name == "1"
    other = {"sharpness": 8.0, "thresholds": (0.5, 0.25), "stated": (0.5, 0.75)}
    moved = another(candidate, tmp_path / "moved", **other)
    message = r"signature 'serving_default' gives the labels .*'light'\], but by its probabilities"
    with pytest.raises(StepError, match=message):
        run_push(moved, destination, tmp_path)
    without = another(candidate, tmp_path / "without", stated=(0.5, 0.5))
    with pytest.raises(StepError, match="signature 'serving_default' does not give 'labels'"):
        run_push(without, destination, tmp_path)
    assert served_versions(destination) == [1]


def test_a_destination_that_cannot_be_written_is_one_line(
    candidate: Candidate, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StepError, match="cannot write"):
        run_push(candidate, tmp_path / "file" / "served", tmp_path)


def test_without_a_destination_the_artifact_is_one(candidate: Candidate, tmp_path: Path) -> None:
    settings = PushSettings(try_server=False)
    version = Path(push(*candidate.inputs, settings, pushed=tmp_path / "pushed"))
    assert version == tmp_path / "pushed" / "1"
    assert folder_digest(version) == folder_digest(candidate.model)
    assert read_manifest(tmp_path / "pushed", "pushed")["path"] == str(version)
