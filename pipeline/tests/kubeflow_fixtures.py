"""Fixtures of the tests against the stand-in for Kubeflow."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.compiler import compile_pipeline
from pipeline.config import load_config
from pipeline.settings.cluster import KubeflowSettings
from pipeline.targets import cluster_target
from pipeline.targets.kubeflow import connection
from pipeline.targets.kubeflow.client import Kubeflow
from pipeline.tests.kubeflow_server import TOKEN, KubeflowServer, kubeflow_server

DIGITS = Path(__file__).parents[2] / "configs" / "digits.yaml"


@pytest.fixture(scope="session")
def kfp_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits pipeline, compiled for Kubeflow."""
    file = tmp_path_factory.mktemp("kfp") / "digits.yaml"
    compile_pipeline(load_config(str(DIGITS)), cluster_target("kfp"), file)
    return file


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeflowServer]:
    monkeypatch.setattr(connection, "WAITS", (0.01, 0.01, 0.01))
    with kubeflow_server() as running:
        yield running


@pytest.fixture
def kubeflow_settings(server: KubeflowServer, tmp_path: Path) -> KubeflowSettings:
    token_file = tmp_path / "token"
    token_file.write_text(f"{TOKEN}\n")
    return KubeflowSettings(host=server.url, token_file=str(token_file))


@pytest.fixture
def kubeflow(kubeflow_settings: KubeflowSettings) -> Kubeflow:
    return Kubeflow(kubeflow_settings)
