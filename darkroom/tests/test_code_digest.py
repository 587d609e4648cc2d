"""A digest of code covers what a step really imports, and nothing else."""

import shutil
from pathlib import Path

import pytest

from darkroom.artifacts import code_digest
from pipeline.steps import STEPS

MODULES = sorted({step.module for step in STEPS})


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for floor in ("darkroom", "components"):
        shutil.copytree(
            code_digest.ROOT / floor,
            tmp_path / floor,
            ignore=shutil.ignore_patterns("__pycache__", "tests"),
        )
    monkeypatch.setattr(code_digest, "ROOT", tmp_path)
    return tmp_path


def changed(checkout: Path, file: str) -> set[str]:
    """The modules whose digest a change of a file changes."""
    before = {module: code_digest.code_digest(module) for module in MODULES}
    path = checkout / file
    path.write_text(path.read_text() + "\n# changed\n")
    return {module for module in MODULES if code_digest.code_digest(module) != before[module]}


def test_a_changed_backbone_leaves_ingest_alone(checkout: Path) -> None:
    found = changed(checkout, "darkroom/backbones/resnet34.py")
    assert "components.train.step" in found
    assert "components.ingest.step" not in found
    assert "components.notify.step" not in found


def test_a_changed_manifest_rule_changes_all(checkout: Path) -> None:
    assert changed(checkout, "darkroom/artifacts/manifest.py") == set(MODULES)


def test_an_import_within_a_function_counts(checkout: Path) -> None:
    assert changed(checkout, "components/evaluate/report/charts.py") == {"components.evaluate.step"}


def test_a_template_is_part_of_its_module(checkout: Path) -> None:
    found = changed(checkout, "components/evaluate/report/report.html.j2")
    assert found == {"components.evaluate.step"}


def test_a_step_stands_on_no_other_components_code() -> None:
    for module in MODULES:
        own = module.split(".")[1]
        for path in code_digest.code_files(module):
            parts = path.relative_to(code_digest.ROOT).parts
            assert parts[0] == "darkroom" or parts[1] in (own, "__init__.py"), path
