"""The graph: defined once, executed here and compiled for clusters."""

from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.evaluate.step import evaluate
from components.ingest.step import ingest
from components.push.step import push
from components.train.step import train
from components.transform.step import transform
from pipeline.config import Config

BLESSED = "blessed"
"""What the evaluate step returns for a model that may be pushed."""


def build_pipeline(config: Config) -> GraphComponent:
    """Builds the pipeline of a config.

    Its parameters are the config's `data` and step sections; their defaults are the config's
    values, so that a compiled file runs as it is, or with other settings.

    Args:
        config: The validated config.

    Returns:
        The pipeline: call it to run here (after `kfp.local.init`), or compile it.
    """
    steps = {
        step.__name__: dsl.component(
            step, base_image=config.cluster.image(step.__name__), install_kfp_package=False
        )
        for step in (ingest, transform, train, evaluate, push)
    }
    defaults = config.arguments()

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name=config.name, description="Photographs in, a served classifier out."
    )
    def darkroom(
        data: str = defaults["data"],
        ingest: dict = defaults["ingest"],  # type: ignore[type-arg]
        transform: dict = defaults["transform"],  # type: ignore[type-arg]
        train: dict = defaults["train"],  # type: ignore[type-arg]
        evaluate: dict = defaults["evaluate"],  # type: ignore[type-arg]
        push: dict = defaults["push"],  # type: ignore[type-arg]
    ) -> None:
        ingested = steps["ingest"](data=data, settings=ingest)
        examples = ingested.outputs["examples"]
        transformed = steps["transform"](examples=examples, settings=transform)
        trained = steps["train"](
            transformed_examples=transformed.outputs["transformed_examples"],
            transform_graph=transformed.outputs["transform_graph"],
            settings=train,
        )
        model = trained.outputs["model"]
        evaluated = steps["evaluate"](examples=examples, model=model, settings=evaluate)
        tasks = {
            "ingest": ingested,
            "transform": transformed,
            "train": trained,
            "evaluate": evaluated,
        }
        # Only a step's unnamed output works in a condition of kfp.local; a named one is skipped.
        with dsl.If(evaluated.outputs["Output"] == BLESSED, name="blessed"):
            tasks["push"] = steps["push"](
                examples=examples,
                model=model,
                evaluation=evaluated.outputs["evaluation"],
                settings=push,
            )
            # What is served may have changed since: a push is never taken from a cache.
            tasks["push"].set_caching_options(False)
        for name, task in tasks.items():
            _set_resources(task, config, name)

    return darkroom


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
