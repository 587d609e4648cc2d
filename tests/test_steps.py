"""Each step says the same from every side: its function, its Kubeflow component, its shell."""

import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from darkroom.runtime.run_step import output_names, settings_model
from darkroom.settings import Settings
from pipeline.config import config_model, load_config
from pipeline.steps import STEPS, Step, step_named

ROOT = Path(__file__).parent.parent
NAMES = ("ingest", "transform", "train", "evaluate", "push")
"""The steps of every run."""
CONSOLES = ("metrics", "classification")
"""Outputs of a step that only a cluster's console reads."""


@pytest.mark.parametrize("name", NAMES)
def test_argument_names_match(name: str) -> None:
    function = getattr(importlib.import_module(f"components.{name}.{name}"), name)
    step = getattr(importlib.import_module(f"components.{name}.step"), name)
    component = dsl.component(step, base_image="darkroom")
    inputs = component.component_spec.inputs or {}
    named = component.component_spec.outputs or {}
    outputs = [output for output in named if output not in ("Output", *CONSOLES)]
    expected = list(inspect.signature(function).parameters)
    given = [name for name in inputs if name != "data_fingerprint"]  # for a cluster's cache alone
    assert [*given, *outputs] == expected
    assert outputs == output_names(function)
    assert settings_model(function) is config_model().model_fields[name].annotation


@pytest.mark.parametrize("project", ["digits", "flowers"])
@pytest.mark.parametrize("name", NAMES)
def test_pipeline_arguments_are_the_steps_settings(name: str, project: str) -> None:
    config = load_config(str(ROOT / "configs" / f"{project}.yaml"))
    settings = getattr(config, name)
    assert type(settings).model_validate(config.arguments()[name]) == settings


@pytest.mark.parametrize("name", NAMES)
def test_null_is_only_ever_a_default(name: str) -> None:
    """Since it is left out of a pipeline's parameters, which know no null."""
    section: Any = config_model().model_fields[name].annotation
    for key, field in section.model_fields.items():
        takes_null = type(None) in getattr(field.annotation, "__args__", ())
        assert not takes_null or field.default is None, key


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_step_from_a_shell_explains_itself(name: str) -> None:
    function = getattr(importlib.import_module(f"components.{name}.{name}"), name)
    command = [sys.executable, "-m", f"components.{name}", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    for parameter in inspect.signature(function).parameters:
        assert f"--{parameter.replace('_', '-')} " in result.stdout
    assert result.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_wrong_settings_from_a_shell_are_one_line(name: str) -> None:
    function = getattr(importlib.import_module(f"components.{name}.{name}"), name)
    options = [
        part
        for parameter in inspect.signature(function).parameters
        for part in (f"--{parameter.replace('_', '-')}", "nowhere")
        if parameter != "settings"
    ]
    command = [sys.executable, "-m", f"components.{name}", *options, "--settings", '{"zzz": 1}']
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 2
    assert result.stderr.startswith(f"[{name}] error: unknown setting 'zzz'; valid: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_row_names_what_there_is(step: Step) -> None:
    assert step.load_component().__name__ == step.name
    if step.settings:
        assert issubclass(step.load_settings(), Settings)
    assert step.about
    assert (ROOT / "components" / step.component_name / "Dockerfile").is_file()
    for module in step.preloads:
        assert importlib.util.find_spec(module) is not None, module


def test_a_step_that_does_not_exist_offers_the_nearest() -> None:
    with pytest.raises(KeyError, match="no step is called 'trian'; did you mean 'train'"):
        step_named("trian")


def test_components_import_only_artifacts_and_themselves() -> None:
    import ast

    for file in ROOT.glob("components/*/**/*.py"):
        if "tests" in file.parts:
            continue
        room = file.relative_to(ROOT).parts[1]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            parts = node.module.split(".")
            assert parts[0] != "pipeline", file
            if parts[0] == "components" and len(parts) > 1:
                assert parts[1] in ("artifacts", room), f"{file} imports {node.module}"
            if parts[0] == "kfp":
                assert file.name == "step.py", file
