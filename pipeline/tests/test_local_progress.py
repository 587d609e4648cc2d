"""A run here shows a table in a terminal, and lines that a log can keep elsewhere."""

import io
import time

import pytest

from pipeline.targets.local.progress import Progress, shown_progress

STEPS = ("ingest", "transform", "train")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(progress: Progress) -> None:
    progress.cached("ingest", "flowers-1")
    progress.started("transform")
    assert progress.at_work == "transform"
    progress.ended("transform", "succeeded")
    assert progress.at_work is None
    progress.started("train")
    progress.ended("train", "failed")


def test_a_terminal_gets_a_table_below_the_lines() -> None:
    terminal = Terminal()
    with shown_progress(STEPS, "flowers-2", terminal) as progress:
        run(progress)
    shown = terminal.getvalue()
    assert shown.index("[ingest] cached: nothing changed since run flowers-1") < shown.rindex(
        "step"
    )
    last = shown[shown.rindex("step") :]
    for step, state in zip(STEPS, ("cached", "succeeded", "failed"), strict=True):
        (line,) = [line for line in last.splitlines() if step in line]
        assert state in line


def test_a_terminal_shows_how_far_the_step_at_work_is() -> None:
    terminal = Terminal()
    with shown_progress(STEPS, "flowers-2", terminal) as progress:
        assert progress.is_live
        progress.started("ingest")
        progress.paced("[##..] photographs: 5 of 10")
        time.sleep(1.2)  # it is drawn every second
        progress.ended("ingest", "succeeded")
    shown = terminal.getvalue()
    assert "photographs: 5 of 10" in shown
    assert "photographs" not in shown[shown.rindex("step") :]


def test_a_file_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress(STEPS, "flowers-2", io.StringIO()) as progress:
        run(progress)
        assert not progress.is_live
    assert capsys.readouterr().out == "[ingest] cached: nothing changed since run flowers-1\n"
