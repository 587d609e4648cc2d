"""The graph: defined once, executed here and compiled for clusters."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.evaluate.step import evaluate
from components.ingest.step import ingest
from components.push.step import push
from components.train.step import train
from components.train.tuning.step import tune
from components.transform.step import transform
from pipeline.config import Config

BLESSED = "blessed"
"""What the evaluate step returns for a model that may be pushed."""

_FUNCTIONS = {step.__name__: step for step in (ingest, transform, tune, train, evaluate, push)}


def build_pipeline(config: Config) -> GraphComponent:
    """Builds the pipeline of a config.

    Its parameters are the config's `data` and step sections; their defaults are the config's
    values, so that a compiled file runs as it is, or with other settings.

    Args:
        config: The validated config.

    Returns:
        The pipeline: call it to run here (after `kfp.local.init`), or compile it.
    """
    steps = _steps(config)

    def darkroom(given: Mapping[str, Any]) -> None:
        prepared = _prepare(steps, given)
        examples = prepared["ingest"].outputs["examples"]
        transformed = prepared["transform"].outputs
        tasks = prepared
        train_settings = given["train"]
        if config.tune is not None:
            tasks["tune"] = steps["tune"](
                transformed_examples=transformed["transformed_examples"],
                transform_graph=transformed["transform_graph"],
                settings=given["tune"],
                train=given["train"],
            )
            train_settings = tasks["tune"].outputs["Output"]
        tasks["train"] = steps["train"](
            transformed_examples=transformed["transformed_examples"],
            transform_graph=transformed["transform_graph"],
            settings=train_settings,
        )
        model = tasks["train"].outputs["model"]
        evaluated = steps["evaluate"](examples=examples, model=model, settings=given["evaluate"])
        tasks["evaluate"] = evaluated
        # Only a step's unnamed output works in a condition of kfp.local; a named one is skipped.
        with dsl.If(evaluated.outputs["Output"] == BLESSED, name="blessed"):
            tasks["push"] = steps["push"](
                examples=examples,
                model=model,
                evaluation=evaluated.outputs["evaluation"],
                settings=given["push"],
            )
            # What is served may have changed since: a push is never taken from a cache.
            tasks["push"].set_caching_options(False)
        for name, task in tasks.items():
            _set_resources(task, config, name)

    return _pipeline(config.name, darkroom, config.arguments())


def build_preparation(config: Config) -> GraphComponent:
    """Builds the part of a config's pipeline that comes before any training."""
    steps = _steps(config)
    arguments = config.arguments()
    needed = {name: arguments[name] for name in ("data", "ingest", "transform")}
    return _pipeline(config.name, lambda given: _prepare(steps, given), needed)


def _pipeline(
    name: str, body: Callable[[Mapping[str, Any]], Any], defaults: Mapping[str, Any]
) -> GraphComponent:
    """A pipeline whose parameters are those of a mapping."""

    def darkroom(*values: Any) -> None:
        body(dict(zip(defaults, values, strict=True)))

    darkroom.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=value,
                annotation=type(value),
            )
            for name, value in defaults.items()
        ]
    )
    decorated = dsl.pipeline(name=name, description="Photographs in, a served classifier out.")
    pipeline: GraphComponent = decorated(darkroom)
    return pipeline


def _steps(config: Config) -> dict[str, Any]:
    return {
        name: dsl.component(
            _FUNCTIONS[name], base_image=config.cluster.image(name), install_kfp_package=False
        )
        for name in config.steps
    }


def _prepare(steps: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The tasks that make photographs ready to train with."""
    ingested = steps["ingest"](data=given["data"], settings=given["ingest"])
    transformed = steps["transform"](
        examples=ingested.outputs["examples"], settings=given["transform"]
    )
    return {"ingest": ingested, "transform": transformed}


def _set_resources(task: Any, config: Config, step: str) -> None:
    resources = config.cluster.resources.get(step)
    if resources is None:
        return
    if resources.cpu is not None:
        task.set_cpu_limit(resources.cpu)
    if resources.memory is not None:
        task.set_memory_limit(resources.memory)
    if resources.accelerator is not None:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerator_count)
