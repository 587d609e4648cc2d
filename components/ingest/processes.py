"""Processes of this machine that read photographs: one a core, ready in a fraction of a second.

Python's lock lets threads read hardly more photographs a second than one does, and the processes
of Beam's own DirectRunner each import Beam, which takes longer than 10,000 photographs do.
"""

import atexit
import functools
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


@functools.cache
def processes() -> ProcessPoolExecutor:
    """The processes, which live as long as this one."""
    # Of one that has no threads yet: a copy of this process, which has, could wait for ever.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["components.ingest.outcomes"])
    pool = ProcessPoolExecutor(cores(), context, initializer=_end_with_parent)
    # Before the modules of multiprocessing are taken down, which would leave them waiting.
    atexit.register(pool.shutdown, cancel_futures=True)
    return pool


def start_processes() -> None:
    """Lets them start while this process imports Beam."""
    for _ in range(cores() if cores() > 1 else 0):
        processes().submit(os.getpid)


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
