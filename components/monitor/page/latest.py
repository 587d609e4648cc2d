"""The newest figures and page of a database that another process writes."""

import threading
import time
from pathlib import Path
from typing import NamedTuple

from components.monitor.page.figures import Figures, read_figures
from components.monitor.page.mistakes import Pictures
from components.monitor.page.page import render
from darkroom.errors import DarkroomError

EVERY = 5.0
"""Seconds within which figures are not read again."""
_AT_LEAST_EVERY = 60.0
"""Seconds after which they are, though the file is as it was: a mute may have ended."""

_Stamp = tuple[int, int, int]


class State(NamedTuple):
    """What is known.

    Attributes:
        figures: The newest that could be read; None while there are none.
        problem: Why the database cannot be read now; None if it can.
        changed: When its file changed last, in seconds since 1970; None without one.
    """

    figures: Figures | None
    problem: str | None
    changed: float | None


class Latest:
    """The newest figures, and the page of them, each made when it is asked for and is another.

    While the database is locked, or gone, the last ones stay.

    Args:
        database: The monitor's file.
        title: What is watched.
        pictures: Where photographs are found.
    """

    def __init__(self, database: Path, title: str, pictures: Pictures | None = None) -> None:
        self._database, self._title, self._pictures = database, title, pictures
        self._reading, self._drawing = threading.Lock(), threading.Lock()
        self._state = State(None, None, None)
        self._stamp: _Stamp | None = None
        self._read_at = -_AT_LEAST_EVERY
        self._page: tuple[str, str] | None = None
        self._drawn: Figures | None = None
        self._number, self._started = 0, time.time_ns()

    def state(self) -> State:
        """The newest figures, at most a few seconds old."""
        with self._reading:
            elapsed = time.monotonic() - self._read_at
            if elapsed >= EVERY:
                self._read(elapsed)
            return self._state

    def page(self) -> tuple[str, str] | None:
        """The page of the newest figures, and its ETag; None while there are no figures.

        Who asks while another one's is drawn gets the last one.
        """
        figures = self.state().figures
        if figures is None:
            return None
        if not self._drawing.acquire(blocking=self._page is None):
            return self._page
        try:
            if self._page is None or figures != self._drawn:
                self._number += 1
                etag = f'"{self._started:x}-{self._number}"'
                live = {"every": round(EVERY), "etag": etag}
                content = render(figures, self._title, self._pictures, live)
                self._page, self._drawn = (content, etag), figures
            return self._page
        finally:
            self._drawing.release()

    def _read(self, elapsed: float) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp and self._state.problem is None and elapsed < _AT_LEAST_EVERY:
            return
        figures, problem = self._state.figures, None
        try:
            figures = read_figures(self._database)
        except DarkroomError as error:
            problem = str(error)
        changed = None if stamp is None else stamp[0] / 1e9
        self._state, self._stamp = State(figures, problem, changed), stamp
        self._read_at = time.monotonic()

    def _stamp_now(self) -> _Stamp | None:
        try:
            found = self._database.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
