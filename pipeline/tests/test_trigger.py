"""When a run starts itself, and that of several triggers at once one starts it."""

import concurrent.futures
import datetime
import multiprocessing
import time
from pathlib import Path
from typing import Any, cast

import pytest

from darkroom.errors import SettingsError, StepError
from pipeline.config import TriggerSettings, load_config
from pipeline.target import TransientError
from pipeline.targets import cluster_target
from pipeline.tests.faulty_proxy import FaultyProxy
from pipeline.tests.trigger_fixtures import NOW, ROOT, Cluster, add, config, start
from pipeline.triggers.claims import ABANDONED_AFTER, ClaimLog, RunClaim
from pipeline.triggers.start_run import decide, start_if_due, trigger_store
from pipeline.triggers.store import Store


def test_a_run_starts_when_enough_photographs_are_new(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path, minimum_new_photographs=5, minimum_interval="1s")
    cluster = Cluster(tmp_path)
    answer = start(settings, cluster)
    assert (answer.reason, answer.run and answer.run.id) == ("10 new photographs", "r1")
    time.sleep(1)
    assert start(settings, cluster).reason == "0 new photographs, and 5 are needed"
    add(photographs, 4)
    assert start(settings, cluster).reason == "4 new photographs, and 5 are needed"
    changed = photographs / "roses" / "0.jpg"
    changed.write_bytes(b"another")
    assert start(settings, cluster).reason == "5 new photographs"
    assert cluster.runs == 2
    kept = sorted(path.name for path in (tmp_path / "flowers").iterdir())
    assert kept == ["000001.claim", "000001.run", "000002.claim", "000002.run", "000002.seen"]


def test_the_interval_holds_for_every_reason(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path, minimum_interval="2h")
    cluster = Cluster(tmp_path)
    start(settings, cluster)
    add(photographs, 4)
    assert "the last run started less than 2h ago" in start(settings, cluster).reason
    assert "less than 2h" in start(settings, cluster, "accuracy fell to 0.81").reason
    assert cluster.runs == 1


def test_a_fall_in_quality_needs_no_photographs(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path, minimum_new_photographs=99)
    assert start(settings, Cluster(tmp_path)).run is None
    answer = start(settings, Cluster(tmp_path), "accuracy fell to 0.81")
    assert answer.reason == "accuracy fell to 0.81"
    assert answer.run is not None


@pytest.mark.parametrize(
    ("new", "hours_ago", "quality", "due"),
    [
        (5, None, "", True),
        (4, None, "", False),
        (5, 1.9, "", False),
        (5, 2.1, "", True),
        (0, 1.9, "worse", False),
        (0, 2.1, "worse", True),
        (0, None, "worse", True),
    ],
)
def test_what_is_due(new: int, hours_ago: float | None, quality: str, due: bool) -> None:
    settings = TriggerSettings(minimum_new_photographs=5, minimum_interval="2h")
    last = None
    if hours_ago is not None:
        last = RunClaim(3, NOW - datetime.timedelta(hours=hours_ago), "", "r1")
    assert decide(settings, new, last, NOW, quality).due is due


class AtOnce(Store):
    """Lets no process claim a start before all have decided to."""

    def __init__(self, folder: Path, barrier: Any) -> None:
        super().__init__(str(folder))
        self._barrier = barrier

    def create(self, name: str, content: bytes) -> bool:
        if name.endswith(".claim"):
            self._barrier.wait()
        return super().create(name, content)


def trigger_once(photographs: Path, folder: Path, barrier: Any) -> str:
    settings = config(photographs, folder / "state")
    store = AtOnce(folder / "state" / "flowers", barrier)
    return start_if_due(settings, cast(Any, Cluster(folder)), cluster_target("kfp"), store).reason


@pytest.mark.slow
def test_of_several_processes_at_once_one_starts_the_run(photographs: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    answers = context.SimpleQueue()
    processes = [
        context.Process(target=lambda: answers.put(trigger_once(photographs, tmp_path, barrier)))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert Cluster(tmp_path).runs == 1
    reasons = [answers.get() for _ in processes]
    assert reasons.count("10 new photographs") == 1
    assert reasons.count("another trigger was first") == 3


@pytest.mark.slow
def test_of_many_claims_of_a_bucket_one_holds(bucket: FaultyProxy) -> None:
    starts = ClaimLog(Store("gs://bucket/triggers/flowers"))
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        claims = [threads.submit(starts.claim, "x", frozenset((1,)), None, NOW) for _ in range(8)]
    held = [held for claim in claims if (held := claim.result()) is not None]
    assert [claim.number for claim in held] == [1]
    starts.give_up(held[0])
    # The answer is lost, the library asks again, and is told that there is such an object.
    bucket.lose_answers = 1
    assert starts.claim("y", frozenset((1, 2)), None, NOW) is not None
    assert starts.seen_photographs(starts.last(NOW)) == {1, 2}


def test_a_refused_run_is_tried_by_the_next_trigger(photographs: Path, tmp_path: Path) -> None:
    settings = config(photographs, tmp_path)
    with pytest.raises(StepError, match="quota"):
        start(settings, Cluster(tmp_path, StepError("quota exceeded")))
    assert start(settings, Cluster(tmp_path)).run is not None


def test_a_run_that_may_have_started_is_not_started_twice(
    photographs: Path, tmp_path: Path
) -> None:
    settings = config(photographs, tmp_path, minimum_interval="1s")
    with pytest.raises(TransientError):
        start(settings, Cluster(tmp_path, TransientError("no answer")))
    time.sleep(1)  # the interval counts from a run; whether there is one will show later
    answer = start(settings, Cluster(tmp_path))
    assert answer.run is None
    assert "no cluster has answered; the next may at" in answer.reason


def test_a_start_whose_trigger_died_is_made_up_for(tmp_path: Path) -> None:
    starts = ClaimLog(Store(str(tmp_path)))
    assert starts.claim("1", frozenset((1,)), None, NOW)
    soon, later = NOW + ABANDONED_AFTER / 2, NOW + ABANDONED_AFTER
    assert starts.claim("2", frozenset((1,)), None, soon) is None
    assert starts.last(later) is None
    second = starts.claim("2", frozenset((1,)), None, later)
    assert second is not None
    assert second.number == 2
    starts.started(second, "r2")
    last = starts.last(later + ABANDONED_AFTER)
    assert last is not None
    assert (last.number, last.run) == (2, "r2")


def test_settings_say_where_and_what() -> None:
    flowers = str(ROOT / "configs" / "flowers.yaml")
    with pytest.raises(SettingsError, match="the config has no section 'trigger': give it one"):
        trigger_store(load_config(flowers))
    with pytest.raises(SettingsError, match=r"setting 'trigger\.state' is missing: name a folder"):
        trigger_store(load_config(flowers, overrides=["trigger={}"]))
    with pytest.raises(SettingsError, match="debounce is 9m, and may be 8m at most"):
        load_config(flowers, overrides=["trigger.debounce=9m"])
    with pytest.raises(SettingsError, match=r"setting 'trigger\.minimum_interval'"):
        load_config(flowers, overrides=["trigger.minimum_interval=daily"])
