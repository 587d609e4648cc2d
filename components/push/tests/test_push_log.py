"""The push log: what was changed or removed shows, and what is being written is waited for."""

import json
import threading
import time
from pathlib import Path

import pytest

from components.push import changes
from components.push.tests.pushed_model import push
from darkroom.artifacts import push_log
from darkroom.artifacts.push_log import FOLDER, Entry, PushLog, last_entry
from darkroom.errors import StepError


def test_an_entry_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    PushLog(str(tmp_path)).append(Entry("push", version=1, serving=1))
    (file,) = (tmp_path / FOLDER).glob("*.json")
    content = file.read_bytes()
    file.write_bytes(content[:40])

    def write_the_rest() -> None:
        time.sleep(0.1)
        file.write_bytes(content)

    writer = threading.Thread(target=write_the_rest)
    writer.start()
    known = PushLog(str(tmp_path))
    writer.join()
    assert known.last == last_entry(str(tmp_path))
    assert known.last is not None
    assert known.last.version == 1


def test_an_entry_that_is_never_completed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push_log, "_WRITTEN_WITHIN", 0.1)
    PushLog(str(tmp_path)).append(Entry("push", version=1, serving=1))
    (file,) = (tmp_path / FOLDER).glob("*.json")
    file.write_bytes(b"")
    with pytest.raises(StepError, match=r"000001\.json is no entry of a push log"):
        PushLog(str(tmp_path))


def test_a_changed_log_is_named(tmp_path: Path) -> None:
    place = str(tmp_path)
    for _ in range(3):
        push(place)
    entry = tmp_path / "push_log" / "000002.json"
    values = json.loads(entry.read_text())
    entry.write_text(json.dumps(values | {"who": "nobody"}) + "\n")
    with pytest.raises(StepError, match=r"000003\.json does not follow .*: the log was changed"):
        changes.roll_back(PushLog(place))
    entry.unlink()
    with pytest.raises(StepError, match=r"000003\.json does not follow .*: the log was changed"):
        push(place)
    entry.write_text("no json\n")
    with pytest.raises(StepError, match=r"000002\.json is no entry of a push log"):
        push(place)


def test_a_long_log_is_read_by_its_page(tmp_path: Path) -> None:
    place, folder = str(tmp_path), tmp_path / "push_log"
    push(place)
    log = PushLog(place)
    for _ in range(102):
        assert log.append(Entry("traffic", 1, 1))
    assert [path.name for path in folder.glob(".*")] == [".000100.jsonl"]
    assert PushLog(place).entries == log.entries
    lines = b"".join(path.read_bytes() for path in sorted(folder.glob("*.json")))
    assert lines.startswith((folder / ".000100.jsonl").read_bytes())
    known = PushLog(place)
    assert log.append(Entry("traffic", 1, 1))
    assert not known.append(Entry("traffic", 1, 1))  # another command was faster
    assert (known.refresh(), known.refresh()) == (True, False)
    assert PushLog(place, known).entries == log.entries

    page = folder / ".000100.jsonl"
    content = page.read_bytes()
    page.write_bytes(content.replace(b'"traffic": 0', b'"traffic": 9', 7))
    with pytest.raises(StepError, match=r"000100\.jsonl does not follow .*: the log was changed"):
        push(place)
    page.write_bytes(content)
    (folder / "000020.json").unlink()
    with pytest.raises(StepError, match=r"000021\.json does not follow .*: the log was changed"):
        push(place)
    for path in folder.glob("00002*"):
        path.unlink()
    page.unlink()
    with pytest.raises(StepError, match="the log was changed"):
        PushLog(place, known)


def test_an_entry_of_a_later_release_is_read(tmp_path: Path) -> None:
    place = str(tmp_path)
    push(place)
    first = tmp_path / "push_log" / "000001.json"
    first.write_text(json.dumps(json.loads(first.read_text()) | {"mood": "fine"}) + "\n")
    entry = last_entry(place)
    assert entry is not None
    assert entry.version == 1
    push(place)
    assert len(PushLog(place).entries) == 2
