"""Vertex settings that are refused, and how soon."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from darkroom.errors import SettingsError
from darkroom.settings import validate_settings
from pipeline.settings.cluster import VertexSettings
from pipeline.targets.vertex.client import Vertex
from pipeline.tests.test_vertex import PACKAGE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"project": ""}, "cluster.vertex.project' is missing"),
        ({"pipeline_root": ""}, "cluster.vertex.pipeline_root': expected a folder of a bucket"),
    ],
)
def test_settings_that_lead_nowhere(
    vertex_settings: VertexSettings, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        Vertex(vertex_settings.model_copy(update=changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pipeline_root", "my-bucket/darkroom"),
        ("network", "projects/my-project/global/networks/inside"),
        ("encryption_key", "key"),
        ("experiment", "My flowers"),
        ("labels", {"Team": "vision"}),
    ],
)
def test_settings_that_vertex_would_refuse_later(key: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"setting 'cluster.vertex.{key}': ") as raised:
        validate_settings(VertexSettings, {key: value}, "cluster.vertex")
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_submit_does_not_wait_for_the_sdk(vertex_settings: VertexSettings) -> None:
    # The SDK's classes take seconds to import and look for the bucket before they submit.
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipeline.settings.cluster import VertexSettings\n"
        "from pipeline.targets.vertex.client import Vertex\n"
        "assert not [name for name in sys.modules if name in ('google.auth', 'grpc')]\n"
        f"settings = VertexSettings.model_validate_json({vertex_settings.model_dump_json()!r})\n"
        f"run = Vertex(settings).submit(Path({str(PACKAGE)!r}), 'digits', {{}}, True)\n"
        "assert run.state == 'pending'\n"
        "assert not {'google.cloud.aiplatform', 'kfp', 'tensorflow'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
