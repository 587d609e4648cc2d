"""Pushes a model of a few bytes."""

import tempfile
from pathlib import Path

from components.push import changes
from components.push.staging import staged
from darkroom.artifacts.push_log import Entry, PushLog


def write_model(folder: Path) -> None:
    (folder / "variables").mkdir()
    (folder / "variables" / "variables.index").write_bytes(b"index")
    (folder / "saved_model.pb").write_bytes(b"graph")


def push(place: str, traffic: int = 100, before: changes.Before | None = None) -> Entry:
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        with staged(log := PushLog(place), Path(folder)) as version:
            return changes.publish(log, version, traffic, {"digest": "d"}, before)
