"""The parts of kfp that are no public API are still what `kfp_patches` and the cache take them for.

A new release of kfp that renames one fails here, by name, and not as a run that caches nothing.
"""

import ast
import inspect
from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import executor_main
from kfp.local import cache, subprocess_task_handler, task_dispatcher
from kfp.local.orchestrator import task_executor

from pipeline.targets.local import kfp_patches
from pipeline.targets.local.cache import ContentCache

PUBLIC = ("kfp.local.status", "kfp.local.task_handler_interface")
"""What a task handler is made of; neither is patched."""
ROOT = Path(kfp_patches.__file__).parents[3]


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_function_that_starts_a_step() -> None:
    found = parameters(subprocess_task_handler.run_local_subprocess)
    assert found == ["full_command", "env_vars"]
    source = inspect.getsource(subprocess_task_handler.SubprocessTaskHandler)
    assert "run_local_subprocess(" in source  # and looked up by that name


def test_the_function_that_gives_the_cache() -> None:
    assert parameters(cache.get_local_cache) == []
    # And looked up in its module, where a copy of the name would not be ours.
    assert "cache_module.get_local_cache()" in inspect.getsource(task_executor)


@pytest.mark.parametrize("name", ["__init__", "compute_key", "get", "put"])
def test_the_caches_methods_take_what_ours_take(name: str) -> None:
    theirs = parameters(getattr(cache.LocalCache, name))
    if name == "__init__":
        assert theirs == ["self", "cache_root"]
    else:
        assert parameters(getattr(ContentCache, name)) == theirs


@pytest.mark.parametrize("name", ["_entry_path", "_serialize_outputs", "_deserialize_outputs"])
def test_the_caches_methods_that_ours_calls(name: str) -> None:
    found = getattr(cache.LocalCache, name)
    assert len([p for p in parameters(found) if p != "self"]) == 1


def test_the_class_that_the_images_are_tried_out_with() -> None:
    handler = subprocess_task_handler.SubprocessTaskHandler
    given = ["self", "image", "full_command", "pipeline_root", "runner", "env_vars"]
    assert parameters(handler.__init__) == given
    assert "SubprocessTaskHandler" in inspect.getsource(task_executor) + inspect.getsource(
        task_dispatcher
    )


def test_the_command_of_a_lightweight_component() -> None:
    @dsl.component(base_image="image", install_kfp_package=False)
    def nothing() -> None: ...

    container = nothing.component_spec.implementation.container
    command = [*container.command, *container.args]
    assert command[-4] == "--executor_input"
    program, given, step = kfp_patches.step_of_command(command)
    assert "def nothing()" in program
    assert given == "{{$}}"
    assert step == "nothing"


def test_the_executor_runs_by_its_arguments() -> None:
    source = inspect.getsource(executor_main)
    for option in ("--component_module_path", "--function_to_execute", "--executor_input"):
        assert option in source


def test_no_other_module_touches_what_is_private_to_kfp() -> None:
    files = [
        file for top in ("pipeline", "components", "docker") for file in ROOT.glob(f"{top}/**/*.py")
    ]
    for file in files:
        if "tests" in file.parts or file.name == "kfp_patches.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kfp.local"):
                assert node.module in PUBLIC, file
