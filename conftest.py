"""What the tests of every room share: photographs and weights beside the project, a browser."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A test's first example may import TensorFlow, on a machine that others use too.
hypothesis.settings.register_profile("darkroom", deadline=None)
hypothesis.settings.load_profile("darkroom")

# Before any test imports TensorFlow, as the steps themselves set it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_HEAVY = frozenset({"tensorflow", "apache_beam"})
_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.posix_spawn"})
_fast_test: list[str] = []
"""The test at work, while it is one that is not marked slow."""


def _hold_to_fast(event: str, arguments: tuple[object, ...]) -> None:
    """Fails a test that does what only slow ones may, wherever in it that happens."""
    if not _fast_test:
        return
    does = None
    if event in _STARTS:
        does = "starts a process"
    elif event == "import" and arguments[0] in _HEAVY:
        does = f"imports {arguments[0]}"
    if does is not None:
        pytest.fail(f"{_fast_test[0]} {does}: mark it with pytest.mark.slow", pytrace=False)


sys.addaudithook(_hold_to_fast)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Holds the tests that are not marked slow to what that promises."""
    if item.get_closest_marker("slow") is None:
        _fast_test.append(item.nodeid)
    try:
        return (yield)
    finally:
        _fast_test.clear()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves files of slow tests alone unimported where only fast ones run: they import much."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if "\npytestmark = pytest.mark.slow\n" in text else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the switch that rewrites the golden files."""
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files as they come out now"
    )


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written again, not compared."""
    return bool(request.config.getoption("--update-golden"))


SHARED = Path(__file__).resolve().parent.parent / "shared"


def _shared(path: str) -> Path:
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"needs {found}, which is not laid beside the project here")
    return found


@pytest.fixture(scope="session")
def flowers() -> Path:
    """3,483 photographs of tf_flowers, `<label>/*.jpg`."""
    return _shared("data/flowers")


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """ImageNet weights of MobileNetV2 without top, alpha 0.35."""
    return _shared("weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5")


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


# Not for the session: while it is open, no other test could run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, as Playwright drives it."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()
