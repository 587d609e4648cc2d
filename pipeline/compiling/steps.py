"""The graph's steps as kfp components, for here or for a cluster."""

import functools
from typing import Any

from kfp import dsl

from components.evaluate.step import evaluate
from components.ingest.fingerprinting.step import fingerprint
from components.ingest.step import ingest
from components.notify.step import notify
from components.push.step import push
from components.train.job.step import train as train_as_job
from components.train.step import train
from components.train.tuning.step import tune
from components.transform.step import transform
from pipeline.cluster.settings import NOTIFY
from pipeline.compiling.compiling import Target
from pipeline.compiling.custom_job import custom_job, is_custom_job
from pipeline.compiling.placing import place_on_kubeflow, place_on_vertex, set_retries
from pipeline.compiling.training_job import training_job
from pipeline.config import Config

FINGERPRINT = "fingerprint"
"""The step that comes before `ingest` on a cluster; it runs in ingest's image."""
_SMALL = (FINGERPRINT, NOTIFY)
"""Steps that any machine is large enough for."""

_FUNCTIONS = {step.__name__: step for step in (ingest, transform, tune, train, evaluate, push)}


def components(config: Config, target: Target | None) -> dict[str, Any]:
    """The steps of a config's graph.

    Args:
        config: The config.
        target: The cluster that runs them; None: this machine.

    Returns:
        By name, what gives a task when it is called with the step's inputs.
    """
    made = {name: _component(_FUNCTIONS[name], config, name) for name in config.steps}
    if target is not None and config.cluster.resources_of("ingest").cache:
        made[FINGERPRINT] = _component(fingerprint, config, "ingest")
    if target is not None and config.notify is not None:
        made[NOTIFY] = _component(notify, config, NOTIFY)
    if target == "kfp" and config.cluster.workers > 1:
        job = training_job(config.cluster)
        made["train"] = functools.partial(_component(train_as_job, config, "train"), job=job)
    if target == "vertex":
        for name in config.steps:
            if runs_as_custom_job(config, name):
                resources = config.cluster.resources_of(name)
                workers = config.cluster.workers if name == "train" else 1
                made[name] = custom_job(made[name], resources, config.cluster.vertex, workers)
    return made


def settle(task: Any, config: Config, name: str, target: Target) -> None:
    """Says on a step's task what the step asks for on a cluster.

    Args:
        task: The task, a kfp.dsl.PipelineTask.
        config: The config.
        name: The step.
        target: The cluster.
    """
    cluster = config.cluster
    of = "ingest" if name == FINGERPRINT else name
    resources, pod = cluster.resources_of(of), cluster.pod_of(of)
    task.set_caching_options(_is_cached(config, name))
    if target == "kfp" and name == "train" and cluster.workers > 1:
        # What the config asks for are the workers' machines, and the job retries them itself.
        place_on_kubeflow(task, resources.without_machine(), cluster.without_node(pod))
        return
    if name in _SMALL:
        resources, pod = resources.without_machine(), cluster.without_node(pod)
    set_retries(task, resources)
    if target == "kfp":
        place_on_kubeflow(task, resources, pod)
    elif name in _SMALL or not runs_as_custom_job(config, name):
        place_on_vertex(task, resources)


def runs_as_custom_job(config: Config, name: str) -> bool:
    """Whether a step runs as a custom job on Vertex."""
    workers = config.cluster.workers if name == "train" else 1
    return is_custom_job(config.cluster.resources_of(name), workers)


def _is_cached(config: Config, name: str) -> bool:
    """Whether a step's outputs follow from its inputs alone, and may be taken from a cache."""
    if name in (FINGERPRINT, "push", NOTIFY):
        # What lies at a place, and what is served, may have changed since; and every run ends.
        return False
    if name == "train" and config.train.from_model is not None:
        return False
    return config.cluster.resources_of(name).cache


def _component(function: Any, config: Config, step: str) -> Any:
    return dsl.component(function, base_image=config.cluster.image(step), install_kfp_package=False)
