"""How long imports take, which a step makes where it needs them."""

import builtins
import threading
import time
from typing import Any


class ImportTimer:
    """Adds up the seconds in which some import is under way, in whatever thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._import = builtins.__import__
        self._under_way = 0
        self._since = 0.0
        self._seconds = 0.0

    def start(self) -> None:
        """Measures from now on."""
        builtins.__import__ = self._timed_import

    def stop(self) -> float:
        """Ends the measurement; gives the seconds."""
        if builtins.__import__ == self._timed_import:
            builtins.__import__ = self._import
        return self._seconds

    def _timed_import(self, *arguments: Any, **named: Any) -> Any:
        with self._lock:
            if not self._under_way:
                self._since = time.perf_counter()
            self._under_way += 1
        try:
            return self._import(*arguments, **named)
        finally:
            with self._lock:
                self._under_way -= 1
                if not self._under_way:
                    self._seconds += time.perf_counter() - self._since
