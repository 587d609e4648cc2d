"""The examples of the docstrings run, and give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent
STARTS_PROCESSES = {"distance"}
MODULES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in STARTS_PROCESSES))
    for part in ("sequential", "drift", "quality", "labelling", "page")
    for path in sorted((FOLDER / part).glob("[!_]*.py"))
    if part not in ("labelling", "page") or ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", MODULES)
def test_examples_give_what_they_say(path: Path) -> None:
    name = f"components.monitor.{path.parent.name}.{path.stem}"
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
