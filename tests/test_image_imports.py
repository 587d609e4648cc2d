"""An image holds every package and module that its component imports, wherever it does so.

Heavy imports are made inside functions, so a package missing from a group would show on a
cluster only, minutes into a run.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMPONENTS = sorted(path.parent.name for path in ROOT.glob("components/*/Dockerfile"))
LOCK = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
LOCKED = {package["name"]: package for package in LOCK["package"]}
PROVIDERS = cache(packages_distributions)


FULL_GROUPS = {"evaluate": "evaluate-mlflow"}
"""Groups with what a setting asks for, which the image has where its build says so."""


def installed_packages(group: str) -> set[str]:
    """What `uv sync --no-default-groups --group GROUP` installs, by the lock."""
    project = LOCKED["darkroom"]
    waiting = [*project["dependencies"], *project["dev-dependencies"][group]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        dependency = waiting.pop()
        package = LOCKED[dependency["name"]]
        for extra in ("", *dependency.get("extra", [])):
            if (package["name"], extra) not in seen:
                seen.add((package["name"], extra))
                optional = package.get("optional-dependencies", {}).get(extra, [])
                waiting += optional if extra else package.get("dependencies", [])
    return {name for name, _ in seen}


def imported_modules(path: Path, *, at_start: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from darkroom.artifacts import manifest` names a module too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def component_imports(component: str) -> dict[str, Path]:
    """Every module imported by a component and by the modules of `darkroom` that it reaches."""
    folder = ROOT / "components" / component
    waiting = [path for path in folder.rglob("*.py") if "tests" not in path.parts]
    found: dict[str, Path] = {}
    while waiting:
        path = waiting.pop()
        for module in imported_modules(path):
            if module not in found:
                found[module] = path
                if module.startswith("darkroom."):
                    waiting += files_of(module)
    return found


def trigger_imports() -> Iterator[tuple[Path, str]]:
    """What the command imports anywhere, and what components do when it loads their settings."""
    waiting = [path for path in (ROOT / "pipeline").rglob("*.py") if "tests" not in path.parts]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            at_start = ROOT / "pipeline" not in path.parents
            for module in imported_modules(path, at_start=at_start):
                waiting += files_of(module)
                yield path, module


def assert_has_package(installed: set[str], module: str, path: Path) -> None:
    top = module.partition(".")[0]
    if top not in ("components", "darkroom", "pipeline") and top not in sys.stdlib_module_names:
        providers = {name.lower().replace("_", "-") for name in PROVIDERS().get(top, [])}
        assert providers & installed, f"{path}: its image has no package for {module}"


def files_of(module: str) -> list[Path]:
    place = ROOT / module.replace(".", "/")
    return [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.exists()]


@pytest.mark.parametrize("component", COMPONENTS)
def test_image_holds_every_package_its_component_imports(component: str):
    installed = installed_packages(FULL_GROUPS.get(component, component))
    for module, path in component_imports(component).items():
        assert_has_package(installed, module, path)


def test_trigger_holds_every_package_the_command_imports():
    installed = installed_packages("trigger")
    for path, module in trigger_imports():
        assert_has_package(installed, module, path)


@pytest.mark.parametrize("component", COMPONENTS)
def test_image_holds_every_component_module_that_is_imported(component: str):
    held = ("components", f"components.{component}")
    for module, path in component_imports(component).items():
        if module.split(".")[0] in ("components", "pipeline"):
            assert ".".join(module.split(".")[:2]) in held, f"{path} imports {module}"
