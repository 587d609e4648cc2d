"""Changes of a model repository: logged, made once, completed where a command was killed."""

import random
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from components.push import changes, completion, staging
from components.push.staging import next_number
from components.push.tests.pushed_model import push
from darkroom.artifacts import model_repository as repository
from darkroom.artifacts.model_repository import Role
from darkroom.artifacts.push_log import Entry, PushLog, last_entry
from darkroom.artifacts.traffic import canary_traffic, find_canary
from darkroom.errors import StepError
from darkroom.storage import folders
from darkroom.tests.cloud_storage import fake_cloud_storage, fake_s3


def save(folder: Path, *names: str, complete: bool = True) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        if complete:
            (folder / name / "saved_model.pb").write_bytes(b"graph")


def traffic(place: str) -> int:
    return canary_traffic(find_canary(place), last_entry(place))


def numbers(place: str, role: Role = Role.SERVED) -> list[int]:
    return [version.number for version in repository.find_versions(place, role)]


@pytest.fixture(scope="module", params=["folder", "gs", "s3"])
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder, or a bucket of a server that speaks the store's API."""
    if request.param == "folder":
        with tempfile.TemporaryDirectory() as folder:
            yield folder
        return
    with {"gs": fake_cloud_storage, "s3": fake_s3}[request.param]():
        yield f"{request.param}://bucket"


@pytest.fixture
def place(store: str, request: pytest.FixtureRequest) -> str:
    """An empty repository."""
    return f"{store}/{request.node.name.replace('[', '-').rstrip(']')}"


@pytest.mark.slow
def test_a_version_goes_from_canary_to_serving_and_back(place: str) -> None:
    assert push(place, traffic=10).action == "push"  # nothing else serves yet
    entry = push(place, traffic=10)
    assert (entry.action, entry.serving, entry.canary, entry.traffic) == ("canary", 1, 2, 10)
    assert (numbers(place), numbers(place, Role.CANARY)) == ([1], [2])
    assert traffic(place) == 10
    assert changes.promote(PushLog(place), traffic=50).action == "traffic"
    assert traffic(place) == 50
    assert changes.promote(PushLog(place)).serving == 2
    assert (numbers(place), find_canary(place), traffic(place)) == ([2, 1], None, 0)
    with pytest.raises(StepError, match="has no canary to promote"):
        changes.promote(PushLog(place))
    push(place, traffic=0)
    assert (numbers(place, Role.CANARY), traffic(place)) == ([3], 0)
    assert changes.promote(PushLog(place), traffic=5).traffic == 5
    assert changes.promote(PushLog(place), traffic=0).traffic == 0
    for change in (changes.promote, changes.roll_back):  # of a canary that somebody saw before
        with pytest.raises(StepError, match="the canary is version 3, not version 2; try again"):
            change(PushLog(place), canary=2)
    entry = changes.roll_back(PushLog(place), reason="odd answers")
    assert (entry.serving, entry.rolled_back, entry.reason) == (2, [3], "odd answers")
    assert changes.roll_back(PushLog(place)).rolled_back == [2]
    assert changes.roll_back(PushLog(place), to=3).serving == 3
    assert (numbers(place), numbers(place, Role.ROLLED_BACK)) == ([3, 1], [2])
    log = PushLog(place).entries
    assert [entry.action for entry in log] == [
        *("push", "canary", "traffic", "promote"),
        *("canary", "traffic", "traffic", "rollback", "rollback", "rollback"),
    ]
    assert last_entry(place) == log[-1]


@pytest.mark.slow
def test_a_newer_canary_takes_the_place_of_the_older(place: str) -> None:
    for _ in range(3):
        push(place, traffic=20)
    assert numbers(place, Role.CANARY) == [3]
    assert numbers(place, Role.SUPERSEDED) == [2]
    push(place)
    assert (numbers(place), numbers(place, Role.CANARY)) == ([4, 1], [])
    assert changes.roll_back(PushLog(place), to=2).serving == 2


@pytest.mark.slow
def test_pruning_keeps_what_serves_and_the_canary(place: str) -> None:
    for _ in range(4):
        push(place)
    changes.roll_back(PushLog(place), to=1)
    push(place, traffic=10)
    assert changes.prune(PushLog(place), keep=3) == [2, 3]
    assert (numbers(place), numbers(place, Role.CANARY)) == ([1], [5])
    assert changes.prune(PushLog(place), keep=1) == [4]
    assert changes.prune(PushLog(place), keep=1) == []
    assert next_number(PushLog(place)) == 6
    assert not [name for name in repository.listed(place)[0] if name.startswith(".pruned")]
    assert traffic(place) == 10


@pytest.mark.slow
@pytest.mark.parametrize("command", ["push", "promote", "rollback"])
def test_a_killed_command_is_completed_by_the_same_one(
    place: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its entry was logged: the state is the old one until the next command."""
    push(place)
    push(place)
    push(place, traffic=10)
    run = {
        "push": lambda: push(place),
        "promote": lambda: changes.promote(PushLog(place)),
        "rollback": lambda: changes.roll_back(PushLog(place)),
    }[command]
    with monkeypatch.context() as patch:
        patch.setattr(folders, "move_folder", _killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    monkeypatch.setattr(completion, "_PATIENCE", 0.5)
    assert (numbers(place), numbers(place, Role.CANARY)) == ([2, 1], [3])
    if command == "push":
        entry = completion.complete(PushLog(place))
        assert entry is not None
        assert (entry.action, numbers(place)) == ("push", [4, 2, 1])
    else:
        entry = run()
        assert numbers(place) == ([3, 2, 1] if command == "promote" else [2, 1])
    assert completion.complete(PushLog(place)) is None
    assert len(PushLog(place).entries) == 4
    assert PushLog(place).last == entry


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_of_racing_commands_each_is_made_upon_the_one_before(place: str) -> None:
    """Pushes, promotes and rollbacks at once: no entry lost, and the folders as the log says."""
    if place.startswith("s3:"):
        pytest.skip("moto looks for an object, and only then writes it: S3 does both in one")
    push(place)
    failures: list[BaseException] = []

    def several(seed: int) -> None:
        order = random.Random(seed)
        for _ in range(4):
            try:
                order.choice(
                    [
                        lambda: push(place),
                        lambda: push(place, traffic=10),
                        lambda: changes.promote(PushLog(place)),
                        lambda: changes.roll_back(PushLog(place)),
                        lambda: changes.prune(PushLog(place), keep=4),
                    ]
                )()
            except StepError as error:
                if not any(
                    text in str(error)
                    for text in ("no canary", "none to go back", "push the mod", "push again")
                ):
                    failures.append(error)

    threads = [threading.Thread(target=several, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    log = PushLog(place).entries
    last = log[-1]
    assert numbers(place)[0] == last.serving
    assert numbers(place, Role.CANARY) == ([last.canary] if last.canary else [])
    published = [entry.version for entry in log if entry.action in ("push", "canary")]
    assert len(set(published)) == len(published)
    names = [*repository.listed(place)[0], *repository.listed(place)[1]]
    assert not [name for name in names if name.startswith((".staged", ".claimed", ".partial"))]


def test_a_folder_that_somebody_puts_back_is_not_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later command took the last rollback for cut off, and mixed the files of both."""
    place = str(tmp_path)
    push(place)
    push(place)
    changes.roll_back(PushLog(place))
    save(tmp_path, "2")
    (tmp_path / "2" / "foreign").write_bytes(b"foreign")
    monkeypatch.setattr(completion, "_PATIENCE", 0.2)
    assert completion.complete(PushLog(place)) is None
    assert (tmp_path / "2" / "foreign").is_file()
    assert not (tmp_path / ".rolled-back-2" / "foreign").exists()
    with pytest.raises(StepError, match=r"\.rolled-back-2 is in the way"):
        changes.roll_back(PushLog(place))


def test_the_version_that_serves_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else TF Serving would load those on their way out, one after the other."""
    place = str(tmp_path)
    for _ in range(4):
        push(place)
    seen = []
    move = folders.move_folder

    def watched(source: str, target: str, last: Sequence[str] = ()) -> None:
        seen.append(numbers(place)[0])
        move(source, target, last)

    monkeypatch.setattr(folders, "move_folder", watched)
    changes.roll_back(PushLog(place), to=1)
    assert seen == [4, 4, 4]
    assert numbers(place) == [1]


def test_a_push_that_fails_leaves_nothing_staged(tmp_path: Path) -> None:
    place = str(tmp_path)
    push(place)

    def refuse(_: Entry) -> None:
        raise StepError("the cluster refuses")

    with pytest.raises(StepError, match="the cluster refuses"):
        push(place, before=refuse)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "push_log"]


def test_an_object_that_stands_for_a_folder_is_none() -> None:
    """The S3 console makes such ones; a rollback failed at it for ever."""
    import boto3

    with fake_s3():
        place = "s3://bucket/marked"
        push(place)
        push(place)
        boto3.client("s3").put_object(Bucket="bucket", Key="marked/2/")
        assert changes.roll_back(PushLog(place)).serving == 1
        assert numbers(place) == [1]
        assert push(place).serving == 3


def test_what_a_killed_push_staged_goes_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path)
    save(tmp_path, ".staged-3")
    push(place)
    assert (tmp_path / ".staged-3").is_dir()
    monkeypatch.setattr(staging, "_LONGEST_COPY", -1.0)
    push(place)
    assert not (tmp_path / ".staged-3").exists()
    assert numbers(place) == [5, 4]


def test_a_half_copied_version_is_none(tmp_path: Path) -> None:
    """A rollback once "withdrew" the half-copied 3, and said that 2 served, as it had all along."""
    save(tmp_path, "1", "2")
    save(tmp_path, "3", complete=False)
    assert numbers(str(tmp_path)) == [2, 1]
    assert [version.number for version in repository.find_incomplete(tmp_path)] == [3]
    current = repository.serving_version(tmp_path)
    assert current is not None
    assert current.number == 2
    entry = changes.roll_back(PushLog(str(tmp_path)))
    assert (entry.rolled_back, entry.serving) == ([2], 1)
    assert numbers(str(tmp_path)) == [1]
    assert next_number(PushLog(str(tmp_path))) == 4


def test_a_number_is_never_used_again(tmp_path: Path) -> None:
    assert next_number(PushLog(str(tmp_path / "none"))) == 1
    save(tmp_path, "1", "2")
    changes.roll_back(PushLog(str(tmp_path)))
    assert next_number(PushLog(str(tmp_path))) == 3
    save(tmp_path, "1700000000", complete=False)
    assert next_number(PushLog(str(tmp_path))) == 1_700_000_001


@pytest.mark.parametrize("names", [(), ("1",)])
def test_without_a_version_before_there_is_no_rollback(tmp_path: Path, names: list[str]) -> None:
    save(tmp_path, *names)
    save(tmp_path, "7", complete=False)
    with pytest.raises(StepError, match="complete version: none to go back to"):
        changes.roll_back(PushLog(str(tmp_path)))
    assert len(repository.find_versions(tmp_path)) == len(names)


def test_names_of_rolled_back_versions(tmp_path: Path) -> None:
    save(
        tmp_path, "1", ".withdrawn-8", ".rolled-back-x", ".rolled-back-007"
    )  # by an earlier release
    assert next_number(PushLog(str(tmp_path))) == 9
    (tmp_path / "12").touch()
    assert next_number(PushLog(str(tmp_path))) == 13
    save(tmp_path, "9" * 18)
    with pytest.raises(StepError, match="the highest number that a version can have"):
        next_number(PushLog(str(tmp_path)))


def test_a_rollback_takes_every_folder_of_the_number(tmp_path: Path) -> None:
    save(tmp_path, "1", "2", "02")
    entry = changes.roll_back(PushLog(str(tmp_path)))
    assert entry.rolled_back == [2]
    assert (tmp_path / ".rolled-back-2" / "saved_model.pb").is_file()
    assert entry.serving == 1
    assert numbers(str(tmp_path)) == [1]


def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    save(tmp_path, "1", "2", ".rolled-back-2")
    with pytest.raises(StepError, match=r"\.rolled-back-2 is in the way"):
        changes.roll_back(PushLog(str(tmp_path)))
    assert numbers(str(tmp_path)) == [2, 1]
