"""Beam workers as on other machines: processes with a working directory of their own.

They share nothing with a step but a bucket, which needs no network.
"""

import sys
from pathlib import Path

import pytest

from darkroom.tests import disk_bucket

STAGING_LOCATION = "disk://bucket/tmp"


def start_bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes an empty bucket, and gives the options for Beam of workers that reach it."""
    (folder / "bucket").mkdir(parents=True)
    (folder / "workers").mkdir()
    monkeypatch.setenv(disk_bucket.ROOT, str(folder))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    worker = f"{sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
    return [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config=cd {folder / 'workers'} && exec {worker}",
        "--beam_plugins=darkroom.tests.disk_bucket.DiskBucket",
        f"--temp_location={STAGING_LOCATION}",
    ]
