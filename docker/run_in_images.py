"""Runs a pipeline here, each step inside its own image, to try the images out.

The images are those that `docker/build-with-buildah.sh` built; each step runs as a cluster would
start it: its command and kfp's input, as the image's own user. As root, from the repository:

    python docker/run_in_images.py CONFIG FOLDER [key.sub=value ...]

FOLDER (absolute) takes what the steps write. CONFIG's data must be what every image can read.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kfp import local
from kfp.local.status import Status
from kfp.local.task_handler_interface import ITaskHandler

from components.push.settings import PushSettings
from pipeline.config import load_config
from pipeline.graph import build_pipeline
from pipeline.targets import cluster_target
from pipeline.targets.local.kfp_patches import handled_by
from pipeline.targets.local.run import local_arguments

USER = 10001
"""The images' own."""


class BuildahTask(ITaskHandler):
    """A step in a container that buildah makes of the step's image, and removes after it."""

    def __init__(
        self,
        image: str,
        full_command: Sequence[str],
        pipeline_root: str,
        runner: local.SubprocessRunner,  # noqa: ARG002, kfp passes it by name
        env_vars: Mapping[str, str] | None = None,
    ) -> None:
        self._image, self._command = image, full_command
        self._root, self._environment = pipeline_root, env_vars or {}

    def run(self) -> Status:
        """Runs the step to its end."""
        made = subprocess.run(
            ["buildah", "from", "--pull-never", self._image],
            capture_output=True,
            text=True,
            check=True,
        )
        container = made.stdout.strip()
        options = ["--isolation", "chroot", "--volume", f"{self._root}:{self._root}"]
        options += [f"--env={name}={value}" for name, value in self._environment.items()]
        began = time.perf_counter()
        try:
            run = ["buildah", "run", *options, container, "--", *self._command]
            ended = subprocess.run(run, check=False)
        finally:
            subprocess.run(["buildah", "rm", container], stdout=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - began
        print(f"{self._image}: {seconds:.1f} s, exit code {ended.returncode}", flush=True)
        return Status.SUCCESS if ended.returncode == 0 else Status.FAILURE


def main(config_file: str, folder: str, *overrides: str) -> None:
    """Runs the config's pipeline; `cluster.registry` is `localhost` unless it is given."""
    config = load_config(config_file, overrides=["cluster.registry=localhost", *overrides])
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    os.chown(root, USER, USER)
    arguments = local_arguments(config)
    if config.section(PushSettings).destination is None:
        arguments["push"]["destination"] = str(root / "served" / config.name)
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=folder, raise_on_error=True)
    with handled_by(BuildahTask):
        build_pipeline(config, cluster_target("kfp"))(**arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
