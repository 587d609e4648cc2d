"""The processes that read photographs, one a core.

A module of its own: a process imports the module of what it runs, and Beam would be another two
seconds.
"""

import os
import threading
import time

_SECONDS_BETWEEN_LOOKS = 1.0


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def exit_with_parent(parent: int) -> None:
    """Ends this process when its parent is gone; one that was killed cannot end it itself.

    Args:
        parent: The parent's process number.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
