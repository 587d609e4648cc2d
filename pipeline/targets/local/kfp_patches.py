"""Everything of kfp that is replaced or built upon beyond its public API, in one place.

kfp.local starts a fresh interpreter for each step and keys its cache on paths. Here its steps run
in processes of ours, and its cache goes by content; `docs/decisions/` says why.
`pipeline/tests/test_kfp_patches.py` holds every name below against the installed kfp.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kfp.local import cache as kfp_cache
from kfp.local import subprocess_task_handler as kfp_runner

LocalCache: Any = kfp_cache.LocalCache
"""kfp's cache of a folder, which `pipeline.targets.local.cache.ContentCache` is one of."""

RunCommand = Callable[[Sequence[str], Mapping[str, str] | None], int]
"""Runs a step's command with environment variables; gives its exit code."""

_WARNINGS = (
    # Our images are Python images, though their names do not say so.
    "You may be attemping to run a task",
    # Resources are a cluster's matter.
    "Task .* settings .* have no effect",
)


@contextlib.contextmanager
def patched(run_command: RunCommand, cache: Any | None) -> Iterator[None]:
    """Has kfp.local run its steps' commands, and look up their outcomes, through ours.

    Args:
        run_command: In place of `run_local_subprocess`.
        cache: A `LocalCache`; None: every step runs.
    """
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        for message in _WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        stack.enter_context(_replaced(kfp_runner, "run_local_subprocess", run_command))
        if cache is not None:
            stack.enter_context(_replaced(kfp_cache, "get_local_cache", lambda: cache))
        yield


def handled_by(handler: Any) -> contextlib.AbstractContextManager[None]:
    """Has kfp.local run each step by a task handler of ours, as `docker/run_in_images.py` does."""
    return _replaced(kfp_runner, "SubprocessTaskHandler", handler)


def step_of_command(full_command: Sequence[str]) -> tuple[str, str, str]:
    """A lightweight component's program, executor input (JSON) and step.

    Args:
        full_command: `sh -ec SCRIPT PROGRAM --executor_input JSON --function_to_execute STEP`.
    """
    *_, program, _option, executor_input, _option, step = full_command
    return program, executor_input, step


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
