"""Runs of the whole graph, as a user starts them, shared by the tests that look at them."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Finished:
    """A `darkroom` command that has ended.

    Attributes:
        code: Its exit code.
        output: Standard output.
        error: Standard error.
        run: The run's `run.json`, if it wrote one.
    """

    code: int
    output: str
    error: str
    run: dict[str, Any]

    def artifact(self, name: str) -> Path:
        return Path(self.run["artifacts"][name])


def darkroom(*arguments: str | Path, out: Path | None = None) -> Finished:
    """Runs the command in a process of its own."""
    where = ["--out", str(out)] if out else []
    command = [sys.executable, "-m", "pipeline.cli.main", *map(str, arguments), *where]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    files = sorted(out.glob("*/run.json")) if out else []
    run = json.loads(files[-1].read_text()) if files else {}
    return Finished(result.returncode, result.stdout, result.stderr, run)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The README's first command."""
    return darkroom("run", "configs/digits.yaml", out=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def command() -> Callable[..., Finished]:
    return darkroom
