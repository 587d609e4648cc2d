"""Workers that run other code than the step are named."""

import socket

import pytest

from darkroom.artifacts.code_digest import code_digest
from darkroom.beam.same_code import check_same_code
from darkroom.errors import StepError


def test_a_worker_of_the_same_code_passes_and_another_is_named() -> None:
    module = "darkroom.beam.same_code"
    check_same_code(module, code_digest(module))
    with pytest.raises(StepError, match=f"^worker {socket.gethostname()} runs other code"):
        check_same_code(module, "0" * 64)
