"""The model that the tests ask."""

from pathlib import Path

import pytest

from components.predict.tests.small_model import write_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("small") / "model")
