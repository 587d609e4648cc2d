"""Whether a worker runs the code of the step that gave it its work."""

import functools
import socket

from darkroom.artifacts.code_digest import code_digest
from darkroom.errors import StepError


@functools.cache
def check_same_code(module: str, digest: str) -> None:
    """Checks, once a process, that a module and all it imports are as on the step's machine.

    Args:
        module: The module whose functions the worker calls.
        digest: `code_digest` of it there.

    Raises:
        StepError: They differ. Results of two releases would be mixed, or fail in riddles.
    """
    if code_digest(module) != digest:
        raise StepError(
            f"worker {socket.gethostname()} runs other code than this step: give it the same "
            "checkout or image, and start it again"
        )
