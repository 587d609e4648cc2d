"""What a process shows of itself: log lines, and an error's one line as it ends."""

import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from darkroom.errors import DarkroomError

QUIET_VARIABLE = "DARKROOM_QUIET"
"""Set, only warnings and errors are shown, by the steps' processes too."""


def configure_logging() -> None:
    """Shows the steps' own log lines on standard error as `[ingest] 3,483 photographs`."""
    # TensorFlow reads this on import; its start-up chatter would bury the lines that matter. That
    # there is no GPU is an error to it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if Path("/dev/nvidiactl").exists() else "3")
    logger = logging.getLogger("darkroom")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_StepFormatter())
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING if os.environ.get(QUIET_VARIABLE) else logging.INFO)
        logger.propagate = False


class _StepFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        line = f"[{record.name.removeprefix('darkroom.')}] {level}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def exit_with(error: DarkroomError, name: str = "darkroom") -> NoReturn:
    """Ends the process with the error's one line on standard error and its exit code."""
    print(f"[{name}] error: {error}", file=sys.stderr, flush=True)
    raise SystemExit(error.exit_code)
