"""What a compiled pipeline says of itself: its parameters, its steps and their images."""

import copy
import graphlib
from collections.abc import Iterator, Mapping
from typing import Any

from darkroom.errors import SettingsError
from darkroom.settings import nearest


def pipeline_spec(package: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pipeline itself, of a package with or without a platform's settings beside it."""
    spec: Mapping[str, Any] = package.get("pipeline_spec", package)
    return spec


def pipeline_name(package: Mapping[str, Any]) -> str:
    """The pipeline's name."""
    return str(pipeline_spec(package).get("pipelineInfo", {}).get("name", ""))


def check_arguments(package: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Checks that the pipeline has the parameters that are given.

    Raises:
        SettingsError: It has not; the nearest that it has is named.
    """
    root = pipeline_spec(package)["root"]
    known = root.get("inputDefinitions", {}).get("parameters", {})
    for name in arguments:
        if name not in known:
            raise SettingsError(f"the pipeline has no parameter '{name}'{nearest(name, known)}")


def without_caching(package: Mapping[str, Any]) -> dict[str, Any]:
    """The package with each step's cache turned off."""
    changed = copy.deepcopy(dict(package))
    for _, task in _tasks(pipeline_spec(changed)):
        # What proto's JSON writes for `enableCache: false`.
        task["cachingOptions"] = {}
    return changed


def step_images(package: Mapping[str, Any]) -> dict[str, str]:
    """The image of each step, by the step's name, in the order in which they run."""
    spec = pipeline_spec(package)
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    labels = {
        name: spec["components"][task["componentRef"]["name"]].get("executorLabel")
        for name, task in _tasks(spec)
    }
    return {
        name: executors.get(label, {}).get("container", {}).get("image", "")
        for name, label in labels.items()
        if label is not None
    }


def _tasks(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All tasks by name, those of conditions too, each after what it depends on."""
    return _tasks_of(spec["root"], spec.get("components", {}))


def _tasks_of(
    component: Mapping[str, Any], components: Mapping[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    tasks = component.get("dag", {}).get("tasks", {})
    before = {name: task.get("dependentTasks", []) for name, task in tasks.items()}
    for name in graphlib.TopologicalSorter(before).static_order():
        yield name, tasks[name]
        yield from _tasks_of(components[tasks[name]["componentRef"]["name"]], components)
