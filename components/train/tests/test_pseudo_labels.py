"""How many labels of the training photographs a model gave."""

import json
import shutil
from pathlib import Path

import pytest

from components.train.tests.conftest import Transformed, train_small

pytestmark = pytest.mark.slow


def test_the_history_says_how_many_there_are(transformed: Transformed, tmp_path: Path) -> None:
    records = shutil.copytree(transformed.records, tmp_path / "records")
    manifest = json.loads((records / "manifest.json").read_text())
    (records / "manifest.json").write_text(json.dumps(manifest | {"pseudo_labelled": 72}))
    marked = Transformed(transformed.graph, records, transformed.pixels, transformed.indices)
    assert train_small(marked, tmp_path / "marked")["pseudo_labelled"] == 72
    assert "pseudo_labelled" not in train_small(transformed, tmp_path / "plain")
