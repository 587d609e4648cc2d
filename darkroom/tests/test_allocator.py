"""Freed memory is kept: what is allocated again takes no page faults."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

FAULTS = """
import resource, sys
import numpy as np
from darkroom.runtime.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
np.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_memory_that_was_freed_is_used_again() -> None:
    def faults(how: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", FAULTS, how], text=True))

    assert faults("kept") < faults("given back") / 20
