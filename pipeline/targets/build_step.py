"""A step of the table as a kfp component, for here or for a cluster."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from kfp import dsl

from components.train.settings import TrainSettings
from pipeline.compiler import Target
from pipeline.config import Config
from pipeline.steps import Step
from pipeline.targets.kubeflow.tfjob import training_job
from pipeline.targets.placement import place_on_kubeflow, place_on_vertex, set_retries
from pipeline.targets.vertex.custom_job import custom_job, is_custom_job


@dataclasses.dataclass(frozen=True)
class BuiltStep:
    """A step that is ready to be put into a graph.

    Attributes:
        step: Its row.
        make: Makes its task, when it is called with its inputs.
        inputs: Its inputs by name: whether it does without.
        artifacts: The artifacts that it writes.
    """

    step: Step
    make: Callable[..., Any]
    inputs: Mapping[str, bool]
    artifacts: tuple[str, ...]


def build_step(config: Config, step: Step, target: Target | None) -> BuiltStep:
    """Makes a step's kfp component.

    Args:
        config: The config.
        step: Its row.
        target: The cluster that runs it; None: this machine.
    """
    component = _component(step.load_component(), config, step)
    spec = component.component_spec
    built = BuiltStep(
        step,
        component,
        {name: given.optional for name, given in (spec.inputs or {}).items()},
        tuple(name for name in spec.outputs or {} if name != "Output"),
    )
    if target == "kfp" and step.name == "train" and config.cluster.workers > 1:
        from components.train.tfjob.step import train as train_as_job

        job = training_job(config.cluster)
        making = functools.partial(_component(train_as_job, config, step), job=job)
        return dataclasses.replace(built, make=making)
    if target == "vertex" and runs_as_custom_job(config, step):
        resources = config.cluster.resources_of(step.name)
        job = custom_job(component, resources, config.cluster.vertex, _workers(config, step))
        return dataclasses.replace(built, make=job)
    return built


def settle(task: Any, config: Config, step: Step, target: Target) -> None:
    """Says on a step's task what the step asks for on a cluster.

    Args:
        task: The task, a kfp.dsl.PipelineTask.
        config: The config.
        step: Its row.
        target: The cluster.
    """
    cluster = config.cluster
    resources, pod = cluster.resources_of(step.name), cluster.pod_of(step.name)
    task.set_caching_options(_is_cached(config, step))
    if target == "kfp" and step.name == "train" and cluster.workers > 1:
        # What the config asks for are the workers' machines, and the job retries them itself.
        place_on_kubeflow(task, resources.without_machine(), cluster.without_node(pod))
        return
    if step.light:
        resources, pod = resources.without_machine(), cluster.without_node(pod)
    set_retries(task, resources)
    if target == "kfp":
        place_on_kubeflow(task, resources, pod)
    elif not runs_as_custom_job(config, step):
        place_on_vertex(task, resources)


def runs_as_custom_job(config: Config, step: Step) -> bool:
    """Whether a step runs as a custom job on Vertex."""
    if step.light:
        return False
    return is_custom_job(config.cluster.resources_of(step.name), _workers(config, step))


def _workers(config: Config, step: Step) -> int:
    return config.cluster.workers if step.name == "train" else 1


def _is_cached(config: Config, step: Step) -> bool:
    """Whether a step's outputs follow from its inputs alone, and may be taken from a cache."""
    if not step.caches or (
        step.name == "train" and config.section(TrainSettings).from_model is not None
    ):
        return False
    return config.cluster.resources_of(step.name).cache


def _component(function: Callable[..., Any], config: Config, step: Step) -> Any:
    image = config.cluster.image(step.name)
    return dsl.component(function, base_image=image, install_kfp_package=False)
