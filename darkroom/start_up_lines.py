"""What TensorFlow says as it starts, kept from a terminal.

Some of its libraries write lines to standard error while they are loaded, before any setting can
keep them from it. They say nothing that a person could act on, and bury what the command says.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

_CHATTER = r"^(I[0-9]{4} |WARNING: All log messages before absl::InitializeLog)"
_SECONDS = 1.0


@contextlib.contextmanager
def without_start_up_lines() -> Iterator[None]:
    """Takes the lines without matter out of standard error, where TensorFlow is first imported.

    A log, which is no terminal, gets them all. A program of its own reads them: should TensorFlow
    abort the process, as on a processor that is too old, its last words are still shown.
    """
    filtering = shutil.which("grep")
    if "tensorflow" in sys.modules or filtering is None or not os.isatty(2):
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    command = [filtering, "--line-buffered", "-vE", _CHATTER]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=terminal)
    assert program.stdin is not None
    os.dup2(program.stdin.fileno(), 2)
    program.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        # A process that was started meanwhile may hold on to it, and is still read.
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(_SECONDS)
