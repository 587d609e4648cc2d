"""The push log on a file system that shows a file before all of it is written."""

import threading
import time
from pathlib import Path

import pytest

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
