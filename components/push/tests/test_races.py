"""Pushes at once: each becomes a version of its own, whole, whatever the machine or file system."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.push.targets.repository import RepositoryTarget
from components.push.tests.test_targets import make_model
from darkroom.artifacts.manifest import folder_digest

pytestmark = pytest.mark.slow

ROUNDS = int(os.environ.get("DARKROOM_RACES", "3"))
"""Rounds of each set-up; 50 were run when this was written."""
AT_ONCE = 3
NAMESPACES = ["unshare", "--pid", "--fork", "--mount-proc"]
"""As two containers are that share a folder: both have the same process numbers."""
SETUPS = {
    "processes": ([], []),
    "pid namespaces": (NAMESPACES, []),
    "no folder renames": ([], ["no-rename"]),
}


def has_namespaces() -> bool:
    return bool(
        shutil.which("unshare")
        and subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode == 0
    )


@pytest.mark.parametrize("setup", SETUPS)
def test_none_is_lost_and_none_is_half(setup: str, tmp_path: Path) -> None:
    prefix, options = SETUPS[setup]
    if prefix and not has_namespaces():
        pytest.skip("this machine lets nobody make namespaces")
    models = [make_model(tmp_path / f"model{n}", str(n) * 100_000) for n in range(AT_ONCE)]
    for number in range(ROUNDS):
        destination = tmp_path / f"served{number}"
        start = str(time.time() + 1.5)
        module = ["-m", "components.push.tests.racing_push", str(destination)]
        pushes = [
            subprocess.Popen(
                [*prefix, sys.executable, *module, str(model.folder), start, *options],
                stdout=subprocess.PIPE,
            )
            for model in models
        ]
        said = [json.loads(push.communicate()[0]) for push in pushes]
        target = RepositoryTarget(str(destination))
        versions = target.versions()
        assert {(v.number, v.digest) for v in versions} == {
            (line["number"], line["digest"]) for line in said
        }
        assert len(versions) == AT_ONCE
        assert all(folder_digest(Path(v.location)) == v.digest for v in versions)
        assert len(list(destination.iterdir())) == AT_ONCE + 1  # the push log
        log = target.log()
        assert sorted(entry.version for entry in log) == sorted(v.number for v in versions)


@pytest.mark.parametrize("option", [[], ["no-rename"]])
def test_a_killed_push_leaves_no_version(option: list[str], tmp_path: Path) -> None:
    """Wherever it is killed; and the next push is none the worse for it."""
    big = make_model(tmp_path / "big", "b" * 30_000_000)
    module = [sys.executable, "-m", "components.push.tests.racing_push"]
    destination = tmp_path / "served"
    destination.mkdir()
    for wait in (0.0, 0.02, 0.05, 0.1, 0.2):
        before = set(destination.iterdir())
        push = subprocess.Popen([*module, str(destination), str(big.folder), "0", *option])
        while set(destination.iterdir()) == before and push.poll() is None:
            time.sleep(0.001)
        time.sleep(wait)
        push.send_signal(signal.SIGKILL)
        push.wait()
        for version in RepositoryTarget(str(destination)).versions():
            assert folder_digest(Path(version.location)) == version.digest
            shutil.rmtree(version.location)
    small = make_model(tmp_path / "small", "s")
    published = RepositoryTarget(str(destination)).publish(small)
    assert RepositoryTarget(str(destination)).current() == published
